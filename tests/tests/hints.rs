//! What Howdah learns of a real database's functions, views and triggers: the query for hints and what is made of its
//! rows.

use howdah_tests::{Database, RawClient};
use howdah_wire::sql::{Hints, HintsBuilder, Sign, Signs};

#[test]
fn a_database_without_functions_gives_no_hints() {
    let found = hints(&mut Database::create().direct());
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn functions_are_followed_through_all_that_uses_them() {
    let database = Database::create();
    database.psql(SCHEMA);
    let hints = hints(&mut database.direct());
    for (text, sign) in [
        ("SELECT in_plpgsql()", Sign::Setting),
        ("SELECT dynamic()", Sign::Opaque),
        ("SELECT in_sql()", Sign::Seed),
        ("SELECT calls_in_sql()", Sign::Seed),
        ("SELECT atomic()", Sign::Lock),
        ("SELECT calls_atomic()", Sign::Lock),
        ("SELECT internal()", Sign::Unlock),
        ("SELECT * FROM locks", Sign::Lock),
        ("SELECT * FROM over_locks", Sign::Lock),
        ("SELECT * FROM seeds", Sign::Seed),
        ("INSERT INTO audited VALUES (1)", Sign::Setting),
        ("DELETE FROM parent", Sign::Setting),
        ("INSERT INTO with_default DEFAULT VALUES", Sign::Seed),
        ("SELECT * FROM guarded", Sign::Seed),
        ("CREATE TABLE new_one (a int)", Sign::Seed),
    ] {
        assert!(Signs::of(text.as_bytes(), &hints).has(sign), "{text}");
    }
    let of = |text: &str| Signs::of(text.as_bytes(), &hints);
    assert_eq!(of("SELECT in_plpgsql()").names(), [Box::from("app.user")]);
    for text in [
        "SELECT harmless()",
        "SELECT * FROM audited",
        "SELECT * FROM with_default, plain_view",
        "SELECT of_function()",
    ] {
        assert_eq!(of(text), Signs::default(), "{text}");
    }
    let custom = of("SELECT set_config($1, $2, false)");
    for name in ["app.user", "app.tenant", "app.of_function", "app.of_database"] {
        assert!(custom.names().contains(&name.into()), "{name}");
    }
}

#[test]
fn nothing_that_users_made_is_run() {
    let database = Database::create();
    database.psql(
        "create schema evil;
         create function evil.no(text, text) returns boolean language plpgsql as $$begin raise 'ran'; end$$;
         create function evil.no(oid, oid) returns boolean language plpgsql as $$begin raise 'ran'; end$$;
         create function evil.no(name, name) returns boolean language plpgsql as $$begin raise 'ran'; end$$;
         create operator evil.= (leftarg = text, rightarg = text, function = evil.no);
         create operator evil.= (leftarg = oid, rightarg = oid, function = evil.no);
         create operator evil.= (leftarg = name, rightarg = name, function = evil.no);
         create function evil.concat(variadic text[]) returns text language plpgsql as $$begin raise 'ran'; end$$;
         create table evil.pg_proc (a int);
         create table evil.pg_class (a int)",
    );
    let mut client = database.direct();
    client.run("set search_path = evil, pg_catalog");
    hints(&mut client);
}

#[test]
fn nobody_is_waited_for() {
    let database = Database::create();
    database.psql(SCHEMA);
    let mut busy = database.direct();
    busy.run("begin; lock audited, parent, with_default, guarded, locks in access exclusive mode");
    let mut client = database.direct();
    client.run("set lock_timeout = '1ms'");
    assert!(!hints(&mut client).is_empty());
}

/// Those of a client's database.
fn hints(client: &mut RawClient) -> Hints {
    let mut builder = HintsBuilder::default();
    for message in client.query(Hints::query()) {
        match message.tag {
            b'D' => {
                let row = message.columns();
                let column = |index: usize| row[index].as_deref().unwrap_or_default().as_bytes();
                builder.row(column(0), column(1), column(2));
            }
            b'E' => panic!("{message:?}"),
            _ => {}
        }
    }
    builder.build()
}

const SCHEMA: &str = "
    create function harmless() returns int language plpgsql as $$begin return 1; end$$;
    create function in_plpgsql() returns int language plpgsql as
        $$begin perform set_config('app.user', 'x', false); return 1; end$$;
    create function dynamic() returns void language plpgsql as $$begin execute 'select 1'; end$$;
    create function in_sql() returns int language sql as 'select setseed(0.5); select 1';
    create function calls_in_sql() returns int language plpgsql as $$begin return In_Sql(); end$$;
    create function atomic() returns void language sql begin atomic select pg_advisory_lock(1); end;
    create function calls_atomic() returns void language sql return atomic();
    create function internal() returns void language internal as 'pg_advisory_unlock_all';
    create view locks as select pg_try_advisory_lock(2);
    create view over_locks as select * from locks;
    create view seeds as select calls_in_sql();
    create view plain_view as select harmless();
    create table audited (a int primary key);
    create function audit() returns trigger language plpgsql as
        $$begin perform in_plpgsql(); return new; end$$;
    create trigger audit before insert or update on audited for each row execute function audit();
    create table parent (a int primary key references audited on delete cascade);
    alter table audited add foreign key (a) references parent on delete cascade;
    create table with_default (a int default calls_in_sql());
    create table guarded (a int);
    create policy p on guarded using (calls_in_sql() = 1 and current_setting('app.tenant', true) = 'x');
    create function on_ddl() returns event_trigger language plpgsql as $$begin perform in_sql(); end$$;
    create event trigger on_ddl on ddl_command_start execute function on_ddl();
    create function of_function() returns int language sql set app.of_function = 1 as 'select 1';
    do $$begin execute format('alter database %I set app.of_database = 1', current_database()); end$$;
";
