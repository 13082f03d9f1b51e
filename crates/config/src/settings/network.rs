//! Settings: sockets and host names.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 10] = [
    new("tcp_keepalive", "1", Value::Flag(at!(tcp.keepalive))).says(
        "ask quiet connections whether they live",
        "With the system's times unless the next three say otherwise.",
    ),
    new("tcp_keepcnt", "0", Value::Limit(at!(tcp.keepcnt)))
        .says("unanswered questions until a connection counts as dead", "0: as the system says."),
    new("tcp_keepidle", "0", Value::Timeout(at!(tcp.keepidle)))
        .says("quiet time before the first question", "0: as the system says."),
    new("tcp_keepintvl", "0", Value::Timeout(at!(tcp.keepintvl)))
        .says("time between questions", "0: as the system says."),
    new("tcp_user_timeout", "0", Value::Milliseconds(at!(tcp.user_timeout)))
        .since("PgBouncer 1.13")
        .says("longest wait for an acknowledgement", "In milliseconds, unlike all other times."),
    new("tcp_socket_buffer", "0", Value::Count(at!(tcp.socket_buffer), i32::MAX as u32))
        .says("size of the kernel's socket buffers", "In bytes. 0: as the system says."),
    new("dns_max_ttl", "15", Value::Unread(Shape::Seconds))
        .status(Status::NoEffect)
        .since("PgBouncer 1.4")
        .says(
            "how long a resolved host name is believed",
            "Howdah asks the system's resolver each time it opens a server connection.",
        ),
    new("dns_nxdomain_ttl", "15", Value::Unread(Shape::Seconds))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.6")
        .says("how long an unknown host name is believed", ""),
    new("dns_zone_check_period", "0", Value::Unread(Shape::Seconds))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.5")
        .says("how often DNS zones are asked for changes", ""),
    new("resolv_conf", "", Value::Unread(Shape::Text))
        .fixed()
        .status(Status::NotBuilt)
        .since("PgBouncer 1.12")
        .says("another resolv.conf", "Names are resolved as the system does it."),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Network, name, default, value)
}
