//! Settings: where to listen, and the process itself.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 18] = [
    new("listen_addr", "", Value::List(at!(listen.addresses))).fixed().says(
        "TCP addresses to listen on",
        "Addresses or host names; `*` is every address. Empty: no TCP, Unix socket only.",
    ),
    new("listen_port", "6432", Value::Port(at!(listen.port))).fixed().says(
        "port for TCP and in the Unix socket's name",
        "The Unix socket is `.s.PGSQL.` and this number.",
    ),
    new("listen_backlog", "128", Value::Number(at!(listen.backlog), 0))
        .fixed()
        .since("PgBouncer 1.3.3")
        .says("connections the kernel keeps waiting", "The kernel cuts it down to `net.core.somaxconn`."),
    new("unix_socket_dir", "/tmp", Value::Text(at!(listen.unix_socket_dir))).fixed().says(
        "directory of the Unix socket",
        "A leading `@` makes it an abstract socket. Empty: no Unix socket.",
    ),
    new("unix_socket_mode", "0777", Value::Permissions(at!(listen.unix_socket_mode)))
        .fixed()
        .since("PgBouncer 1.5.1")
        .says(
            "permissions of the Unix socket",
            "A number without a leading `0` is decimal, as with PgBouncer; it is reported.",
        ),
    new("unix_socket_group", "", Value::Text(at!(listen.unix_socket_group)))
        .fixed()
        .since("PgBouncer 1.5.1")
        .says("group of the Unix socket", "Empty: the group of the process."),
    new("so_reuseport", "0", Value::Flag(at!(listen.so_reuseport))).fixed().since("PgBouncer 1.12").says(
        "several processes on one port",
        "Howdah uses every core in one process; this is for running two versions side by side.",
    ),
    new("tcp_defer_accept", "1", Value::Number(at!(tcp.defer_accept), 0)).says(
        "seconds the kernel waits for a client's first bytes",
        "A client that speaks at once, as all do, costs one wake-up less. One that says nothing is let in about so \
         many seconds later, and `client_login_timeout` ends it; until then it takes a place of `listen_backlog`. `0`: \
         everybody is let in at once.",
    ),
    new("workers", "0", Value::Count(at!(listen.workers), 1024))
        .fixed()
        .since("Howdah 0.1")
        .says("worker threads", "0: one for each core. All workers share the pools and their limits."),
    new("io_engine", "auto", Value::IoEngine(at!(listen.io_engine))).fixed().since("Howdah 0.1").says(
        "how a worker hands its sends to the kernel",
        "`uring`: all sends of a turn in one system call. `plain`: one for each. `auto`: `uring` where the kernel \
         and the container allow it, as SHOW STATE tells, and `plain` while a turn has hardly more than one.",
    ),
    new("pidfile", "", Value::Path(at!(listen.pidfile)))
        .fixed()
        .says("file with the process id", "Empty: none is written."),
    new("user", "", Value::Text(at!(listen.user)))
        .unset()
        .fixed()
        .since("PgBouncer 1.2")
        .says("Unix user to become after the start", "Only when started as root."),
    new("conffile", "", Value::Unread(Shape::Text)).unset().status(Status::NotBuilt).says(
        "configuration file of the next reload",
        "Howdah always reads again the file it was started with.",
    ),
    new("job_name", "pgbouncer", Value::Unread(Shape::Text))
        .fixed()
        .status(Status::NotBuilt)
        .says("name of the Windows service", ""),
    new("service_name", "", Value::Unread(Shape::Text))
        .unset()
        .fixed()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.3")
        .says("another name for job_name", ""),
    new("peer_id", "0", Value::Unread(Shape::Number)).status(Status::NotBuilt).since("PgBouncer 1.19").says(
        "own number among peers",
        "Peers pass on cancel requests that reach the wrong process. One Howdah on all cores needs none.",
    ),
    new("pkt_buf", "4096", Value::Unread(Shape::Number)).fixed().status(Status::NoEffect).says(
        "size of an I/O buffer",
        "Howdah's buffers are lent by the worker; there is none per connection to size.",
    ),
    new("sbuf_loopcnt", "5", Value::Unread(Shape::Number))
        .status(Status::NoEffect)
        .since("PgBouncer 1.3")
        .says(
            "how often one connection is read in a row",
            "Fairness between connections is the scheduler's business in Howdah.",
        ),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Listen, name, default, value)
}
