// pgjdbc, server-side prepare from the first time on, with all the session state it can have. Argument: a libpq
// connection string. Run in the folder of this file. Ends with 1 at any mismatch.

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.TimeZone;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class JdbcSession {
    static final int PATIENCE_MS = 20_000;

    static String url;
    static String user;
    static String look;
    static int mostBackends;

    // A connection and what every look at its session must show.
    static class Watched implements AutoCloseable {
        final String name;
        final Unrest unrest;
        final Connection conn;
        final Set<String> backends = new HashSet<>();
        final Map<String, String> expected;

        Watched(String name, Unrest unrest, Connection conn) throws SQLException {
            this.name = name;
            this.unrest = unrest;
            this.conn = conn;
            expected = look();
        }

        // A statement of its own that stays, as in a cache of statements.
        PreparedStatement looking;

        Map<String, String> look() throws SQLException {
            if (looking == null) {
                looking = conn.prepareStatement(look);
            }
            Map<String, String> seen = new HashMap<>();
            try (ResultSet rows = looking.executeQuery()) {
                while (rows.next()) {
                    seen.put(rows.getString(1), rows.getString(2));
                }
            }
            backends.add(seen.remove("backend"));
            mostBackends = Math.max(mostBackends, backends.size());
            return seen;
        }

        void changed(String... changes) {
            for (int n = 0; n < changes.length; n += 2) {
                expected.put(changes[n], changes[n + 1]);
            }
        }

        void check(String when) throws SQLException {
            unrest.stir();
            equal("the session of " + name + " " + when, look(), expected);
        }

        void execute(String sql) throws SQLException {
            unrest.stir();
            try (Statement statement = conn.createStatement()) {
                statement.execute(sql);
            }
        }

        String ask(String sql) throws SQLException {
            unrest.stir();
            try (PreparedStatement statement = conn.prepareStatement(sql); ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getString(1);
            }
        }

        @Override
        public void close() throws SQLException {
            conn.close();
        }
    }

    // Two connections that do nothing but hold a server connection for a while: now one, now both, now the other.
    static class Unrest implements AutoCloseable {
        final Connection[] holders = {open(), open()};
        final boolean[] holds = {false, false};
        int turn;

        Unrest() throws SQLException {}

        void stir() throws SQLException {
            int which = ++turn % 2;
            try (Statement statement = holders[which].createStatement()) {
                statement.execute(holds[which] ? "commit" : "begin");
            }
            holds[which] = !holds[which];
        }

        @Override
        public void close() throws SQLException {
            for (Connection holder : holders) {
                holder.close();
            }
        }
    }

    static Connection open(String... words) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", user);
        properties.setProperty("prepareThreshold", "1");
        properties.setProperty("sslmode", "disable");
        for (int n = 0; n < words.length; n += 2) {
            properties.setProperty(words[n], words[n + 1]);
        }
        return DriverManager.getConnection(url, properties);
    }

    static void equal(String what, Object actual, Object expected) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    static void fails(String sqlstate, Callable<?> work) throws Exception {
        try {
            work.call();
        } catch (SQLException error) {
            equal("SQLSTATE of " + error.getMessage(), error.getSQLState(), sqlstate);
            return;
        }
        throw new AssertionError("no failure with " + sqlstate);
    }

    static void settings(Unrest unrest) throws Exception {
        // pgjdbc sends the time zone of the JVM with its startup packet.
        TimeZone ours = TimeZone.getDefault();
        String[] start = {"ApplicationName", "app a", "options", "-c statement_timeout=30s", "currentSchema", "tenant_a"};
        String[] habits = {"autosave", "always", "readOnlyMode", "always"};
        Watched a = new Watched("a", unrest, open(Stream.of(start, habits).flatMap(Stream::of).toArray(String[]::new)));
        TimeZone.setDefault(TimeZone.getTimeZone("Asia/Kathmandu"));
        Watched b = new Watched("b", unrest, open("ApplicationName", "app b"));
        TimeZone.setDefault(ours);
        Watched c = new Watched("c", unrest, open("preferQueryMode", "simple", "assumeMinServerVersion", "15"));
        List<Watched> all = List.of(a, b, c, b, a);
        equal("search_path", a.expected.get("search_path"), "tenant_a");
        equal("statement_timeout", a.expected.get("statement_timeout"), "30s");
        equal("time zone", b.expected.get("timezone"), "Asia/Kathmandu");
        for (Watched one : all) {
            one.check("after its set-up");
            equal("set by pgjdbc", one.ask("select current_setting('extra_float_digits')"), "3");
        }
        b.conn.setSchema("tenant_b");
        b.conn.setClientInfo("ApplicationName", "app b, renamed");
        b.execute("set role tenant_b");
        b.execute("set app.tenant = 'b'");
        b.changed("search_path", "tenant_b", "application_name", "app b, renamed", "role", "tenant_b", "tenant", "b");
        for (Watched one : all) {
            one.check("after settings");
        }
        for (Watched one : all) {
            String name = one == a ? "a" : one == b ? "b" : "nobody";
            equal("by search_path", one.ask("select name from who"), name);
        }
        b.conn.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        a.conn.setReadOnly(true);
        for (Watched one : all) {
            String isolation = one == b ? "serializable" : "read committed";
            equal("isolation", one.ask("select current_setting('transaction_isolation')"), isolation);
            equal("read only", one.ask("show default_transaction_read_only"), one == a ? "on" : "off");
        }
        a.conn.setReadOnly(false);
        // With `autosave` an error undoes one statement, not the transaction.
        a.conn.setAutoCommit(false);
        a.execute("set statement_timeout = '7s'");
        fails("22012", () -> a.ask("select 1 / 0"));
        Savepoint savepoint = a.conn.setSavepoint();
        a.execute("set app.tenant = 'gone'");
        a.conn.rollback(savepoint);
        a.conn.commit();
        a.changed("statement_timeout", "7s");
        b.conn.setAutoCommit(false);
        b.execute("reset role");
        fails("22012", () -> b.ask("select 1 / 0"));
        b.conn.rollback();
        for (Watched one : all) {
            one.check("after transactions");
            if (!one.conn.getAutoCommit()) {
                one.conn.commit();
            }
        }
        a.conn.setAutoCommit(true);
        a.execute("reset statement_timeout");
        a.changed("statement_timeout", "30s");
        b.conn.setAutoCommit(true);
        // pgjdbc sees that its statements are gone, and prepares them anew.
        b.execute("discard all");
        b.changed("search_path", c.expected.get("search_path"), "role", user, "tenant", "");
        // Its name pgjdbc had said by SET, its time zone in the startup packet.
        b.changed("application_name", "");
        for (Watched one : all) {
            one.check("after a reset");
        }
        for (Watched one : List.of(a, b, c)) {
            one.close();
        }
    }

    static void prepared(Unrest unrest) throws Exception {
        try (Watched a = new Watched("a", unrest, open("autosave", "conservative"));
                Watched b = new Watched("b", unrest, open("autosave", "conservative"))) {
            List<Watched> both = List.of(a, b);
            Map<Watched, List<PreparedStatement>> mine = new HashMap<>();
            for (Watched one : both) {
                List<PreparedStatement> statements = new ArrayList<>();
                for (int n = 0; n < 4; n++) {
                    statements.add(one.conn.prepareStatement("select ? + 0, '" + one.name + " " + n + "'"));
                }
                mine.put(one, statements);
            }
            for (int n = 0; n < 20; n++) {
                for (Watched one : both) {
                    one.check("with statements");
                    PreparedStatement statement = mine.get(one).get(n % 4);
                    statement.setInt(1, n);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        equal("number", rows.getInt(1), n);
                        equal("own text", rows.getString(2), one.name + " " + n % 4);
                    }
                }
            }
            a.execute("create table public.changing as select 1 as n");
            for (Watched one : both) {
                for (int n = 0; n < 3; n++) {
                    equal("before", one.ask("select * from public.changing"), "1");
                }
            }
            a.execute("alter table public.changing alter n type text using 'changed'");
            for (Watched one : both) {
                equal("after", one.ask("select * from public.changing"), "changed");
            }
            a.execute("drop table public.changing");
            // The same text under another search_path, on one connection.
            for (String tenant : List.of("a", "b", "a")) {
                b.conn.setSchema("tenant_" + tenant);
                equal("by search_path", b.ask("select name from who"), tenant);
            }
        }
    }

    // Rows come as they are read: a portal that stays open while others work.
    static void fetched(Unrest unrest) throws Exception {
        try (Watched a = new Watched("a", unrest, open("defaultRowFetchSize", "7")); Watched b = new Watched("b", unrest, open())) {
            a.conn.setAutoCommit(false);
            b.conn.setAutoCommit(false);
            try (PreparedStatement walk = a.conn.prepareStatement("select n from generate_series(1, ?) n");
                    PreparedStatement insert = b.conn.prepareStatement("insert into batch values (?)")) {
                b.execute("create temporary table batch (n int) on commit drop");
                walk.setInt(1, 50);
                try (ResultSet rows = walk.executeQuery()) {
                    for (int n = 1; rows.next(); n++) {
                        equal("row", rows.getInt(1), n);
                        insert.setInt(1, n);
                        insert.addBatch();
                    }
                }
                equal("a batch", insert.executeBatch().length, 50);
                equal("rows", b.ask("select count(*) from batch"), "50");
            }
            a.conn.commit();
            b.conn.commit();
        }
    }

    static void pinned(Unrest unrest) throws Exception {
        try (Watched a = new Watched("a", unrest, open()); Watched b = new Watched("b", unrest, open())) {
            List<Watched> both = List.of(a, b, a, b);
            // As tools for migrations take it.
            equal("lock", a.ask("select pg_try_advisory_lock(4711)"), "t");
            a.changed("locks", "1");
            for (Watched one : both) {
                one.check("with a lock");
            }
            equal("locked", b.ask("select pg_try_advisory_lock(4711)"), "f");
            equal("unlock", a.ask("select pg_advisory_unlock(4711)"), "t");
            a.execute("create temporary table mine as select n from generate_series(1, 10) n");
            a.changed("locks", "0", "temporary", "1");
            for (Watched one : both) {
                one.check("with a temporary table");
            }
            fails("42P01", () -> b.ask("select * from mine"));
            a.execute("drop table mine");
            a.execute("declare walk cursor with hold for select n from generate_series(1, 3) n");
            a.changed("temporary", "0", "cursors", "1");
            for (int n = 1; n <= 3; n++) {
                equal("fetched", a.ask("fetch 1 from walk"), Integer.toString(n));
                for (Watched one : both) {
                    one.check("with a cursor");
                }
            }
            a.execute("close walk");
            a.changed("cursors", "0");
            for (Watched one : both) {
                one.check("after all this");
            }
        }
    }

    static void notifications(Unrest unrest) throws Exception {
        try (Watched a = new Watched("a", unrest, open()); Watched b = new Watched("b", unrest, open())) {
            a.execute("listen news");
            for (int n = 0; n < 5; n++) {
                b.execute("notify news, '" + n + "'");
                PGNotification told = heard(a);
                equal("channel", told.getName(), "news");
                equal("payload", told.getParameter(), Integer.toString(n));
                equal("sender", told.getPID(), b.conn.unwrap(PGConnection.class).getBackendPID());
                a.check("while it listens");
            }
            a.execute("unlisten news");
            a.execute("listen late");
            b.execute("notify news");
            b.execute("notify late");
            equal("after UNLISTEN", heard(a).getName(), "late");
        }
    }

    static PGNotification heard(Watched one) throws SQLException {
        PGNotification[] told = one.conn.unwrap(PGConnection.class).getNotifications(PATIENCE_MS);
        equal("notifications", told == null ? 0 : told.length, 1);
        return told[0];
    }

    static void crowd() throws Exception {
        // Daemons, so that the program ends when one of them has failed.
        var threads = Executors.newFixedThreadPool(12, work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
        });
        List<Future<Void>> all = new ArrayList<>();
        for (int n = 0; n < 12; n++) {
            int me = n;
            all.add(threads.submit(() -> one(me)));
        }
        for (Future<Void> one : all) {
            one.get();
        }
    }

    static Void one(int me) throws SQLException {
        String tenant = me % 2 == 0 ? "a" : "b";
        String options = "-c statement_timeout=" + (me + 10) + "s";
        String ask = "select name || current_setting('statement_timeout') || current_setting('app.me') || ? from who";
        try (Connection conn = open("currentSchema", "tenant_" + tenant, "options", options);
                Statement set = conn.createStatement();
                PreparedStatement statement = conn.prepareStatement(ask)) {
            set.execute("set app.me = 'me'");
            for (int n = 0; n < 25; n++) {
                conn.setAutoCommit(n % 3 == 0);
                statement.setInt(1, n);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    equal("in a crowd", rows.getString(1), tenant + (me + 10) + "sme" + n);
                }
                if (!conn.getAutoCommit()) {
                    conn.commit();
                }
            }
        }
        return null;
    }

    static void strangersSeeNothing(Map<String, String> before) throws SQLException {
        List<Connection> strangers = new ArrayList<>();
        for (int n = 0; n < 4; n++) {
            Connection stranger = open();
            stranger.setAutoCommit(false);
            strangers.add(stranger);
        }
        for (Connection stranger : strangers) {
            equal("the session of somebody who comes last", new Watched("a stranger", null, stranger).expected, before);
            try (ResultSet rows = stranger.createStatement().executeQuery("select pg_listening_channels()")) {
                equal("channels left", rows.next(), false);
            }
        }
        for (Connection stranger : strangers) {
            stranger.close();
        }
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> known = new HashMap<>();
        for (String word : arguments[0].split("\\s+")) {
            known.put(word.substring(0, word.indexOf('=')), word.substring(word.indexOf('=') + 1));
        }
        url = "jdbc:postgresql://" + known.get("host") + ":" + known.get("port") + "/" + known.get("dbname");
        user = known.get("user");
        look = "select key, value from pg_catalog.json_each_text((" + Files.readString(Path.of("look.sql")) + ")::json)";
        Map<String, String> before;
        try (Connection first = open()) {
            before = new Watched("a stranger", null, first).expected;
        }
        try (Unrest unrest = new Unrest()) {
            settings(unrest);
            prepared(unrest);
            fetched(unrest);
            pinned(unrest);
            notifications(unrest);
        }
        crowd();
        strangersSeeNothing(before);
        System.out.println("backends: " + mostBackends);
    }
}
