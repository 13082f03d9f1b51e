// node-postgres with all the session state it can have. Argument: a libpq connection string. Ends with 1 at any mismatch.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { Client, Pool } = require("pg");

const LOOK = fs.readFileSync(path.join(__dirname, "look.sql"), "utf8");
const PATIENCE = 20_000;

let settings;
let mostBackends = 0;

// A connection and what every look at its session must show.
class Watched {
  static async opened(name, unrest, words = {}) {
    const client = new Client({ ...settings, application_name: `app ${name}`, ...words });
    await client.connect();
    const watched = new Watched();
    Object.assign(watched, { name, unrest, client, backends: new Set() });
    watched.expected = await watched.look();
    return watched;
  }

  async look() {
    const look = JSON.parse((await this.client.query(LOOK)).rows[0].look);
    this.backends.add(look.backend);
    mostBackends = Math.max(mostBackends, this.backends.size);
    delete look.backend;
    return look;
  }

  changed(changes) {
    Object.assign(this.expected, changes);
  }

  async check(when) {
    await this.unrest.stir();
    assert.deepEqual(await this.look(), this.expected, `the session of ${this.name} ${when}`);
  }

  async ask(text, values) {
    await this.unrest.stir();
    return (await this.client.query(text, values)).rows;
  }
}

// Two connections that do nothing but hold a server connection for a while: now one, now both, now the other.
class Unrest {
  static async begin() {
    const unrest = new Unrest();
    unrest.turn = 0;
    unrest.holders = [new Client(settings), new Client(settings)];
    unrest.holds = [false, false];
    await Promise.all(unrest.holders.map((holder) => holder.connect()));
    return unrest;
  }

  async stir() {
    const which = ++this.turn % 2;
    await this.holders[which].query(this.holds[which] ? "commit" : "begin");
    this.holds[which] = !this.holds[which];
  }

  async end() {
    await Promise.all(this.holders.map((holder) => holder.end()));
  }
}

// libpq's words for node-postgres'.
function words(conninfo) {
  const known = Object.fromEntries(conninfo.split(/\s+/).map((word) => word.split("=")));
  return { host: known.host, port: Number(known.port), database: known.dbname, user: known.user };
}

async function settingsFollow(unrest) {
  // node-postgres sends each of these in its startup packet.
  const start = { options: "-c search_path=tenant_a", statement_timeout: 30000, lock_timeout: 9000 };
  const a = await Watched.opened("a", unrest, { ...start, idle_in_transaction_session_timeout: 60000 });
  const b = await Watched.opened("b", unrest);
  const c = await Watched.opened("c", unrest);
  const everybody = async (when) => {
    for (const one of [a, b, c, b, a]) await one.check(when);
  };
  assert.deepEqual([a.expected.search_path, a.expected.statement_timeout], ["tenant_a", "30s"]);
  await b.client.query("SET statement_timeout = 7000; SET search_path TO tenant_b");
  await b.client.query("SET ROLE tenant_b");
  await b.client.query("select set_config('app.tenant', $1, false), set_config('TimeZone', $2, false)", ["b", "Asia/Kathmandu"]);
  b.changed({ statement_timeout: "7s", search_path: "tenant_b", role: "tenant_b", tenant: "b", timezone: "Asia/Kathmandu" });
  await everybody("after settings");
  for (const [one, name] of [[a, "a"], [b, "b"], [c, "nobody"], [b, "b"], [a, "a"]]) {
    assert.deepEqual(await one.ask({ name: "who", text: "select name from who" }), [{ name }]);
  }
  const timeouts = "select current_setting('lock_timeout') as l, current_setting('idle_in_transaction_session_timeout') as i";
  assert.deepEqual(await a.ask(timeouts), [{ l: "9s", i: "1min" }]);
  assert.deepEqual(await c.ask(timeouts), [{ l: "0", i: "0" }]);
  await a.client.query("begin");
  await a.client.query("set application_name = 'gone'; set role tenant_a");
  await assert.rejects(a.client.query("select 1 / $1::int", [0]), { code: "22012" });
  await a.client.query("rollback");
  await everybody("after a failed transaction");
  await c.client.query("begin; set local statement_timeout = 1; set app.tenant = 'c'; commit");
  c.changed({ tenant: "c" });
  await everybody("after a commit");
  await a.client.query("set search_path to public; reset search_path");
  await b.client.query("reset all; reset role");
  b.changed({ ...c.expected, tenant: "", application_name: "app b" });
  await everybody("after a reset");
  await Promise.all([a, b, c].map((one) => one.client.end()));
}

async function prepared(unrest) {
  const a = await Watched.opened("a", unrest);
  const b = await Watched.opened("b", unrest);
  for (let n = 0; n < 20; n++) {
    for (const one of [a, b]) {
      const query = { name: `mine ${n % 4}`, text: `select $1::int as n, '${one.name} ${n % 4}' as me`, values: [n] };
      assert.deepEqual(await one.ask(query), [{ n, me: `${one.name} ${n % 4}` }]);
    }
  }
  await a.client.query("prepare mine (int) as select $1 * 2 as twice");
  assert.deepEqual(await a.ask("execute mine (4)"), [{ twice: 8 }]);
  await assert.rejects(b.ask("execute mine (4)"), { code: "26000" });
  await a.client.query("deallocate mine");
  await assert.rejects(a.ask("execute mine (4)"), { code: "26000" });
  await Promise.all([a, b].map((one) => one.client.end()));
}

async function pinned(unrest) {
  const a = await Watched.opened("a", unrest);
  const b = await Watched.opened("b", unrest);
  await a.client.query("create temporary table mine as select n from generate_series(1, 100) n");
  a.changed({ temporary: 1 });
  for (const one of [a, b, a, b]) await one.check("with a temporary table");
  await assert.rejects(b.client.query("select * from mine"), { code: "42P01" });
  await a.client.query("drop table mine");
  await a.client.query("declare walk cursor with hold for select n from generate_series(1, 10) n");
  a.changed({ temporary: 0, cursors: 1 });
  const found = [];
  for (let rows; (rows = await a.ask("fetch 3 from walk")).length; ) {
    found.push(...rows.map((row) => row.n));
    for (const one of [b, a]) await one.check("with a cursor");
  }
  assert.deepEqual(found, Array.from({ length: 10 }, (_, n) => n + 1));
  await a.client.query("close walk");
  await a.client.query("select pg_advisory_lock(4711)");
  a.changed({ cursors: 0, locks: 1 });
  for (const one of [a, b, a, b]) await one.check("with a lock");
  assert.deepEqual(await b.ask("select pg_try_advisory_lock(4711) as got"), [{ got: false }]);
  assert.deepEqual(await a.ask("select pg_advisory_unlock(4711) as had"), [{ had: true }]);
  a.changed({ locks: 0 });
  assert.deepEqual(await b.ask("select pg_try_advisory_lock(4711) and pg_advisory_unlock(4711) as got"), [{ got: true }]);
  for (const one of [a, b]) await one.check("after a lock");
  await Promise.all([a, b].map((one) => one.client.end()));
}

async function notifications(unrest) {
  const a = await Watched.opened("a", unrest);
  const b = await Watched.opened("b", unrest);
  const heard = () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nothing was heard")), PATIENCE);
      a.client.once("notification", ({ channel, payload, processId }) => {
        clearTimeout(timer);
        resolve([channel, payload, processId]);
      });
    });
  await a.client.query("listen news");
  for (let n = 0; n < 5; n++) {
    const told = heard();
    await b.ask("select pg_notify('news', $1)", [String(n)]);
    assert.deepEqual(await told, ["news", String(n), b.client.processID]);
    await a.check("while it listens");
  }
  await a.client.query("unlisten news");
  await a.client.query("listen late");
  const told = heard();
  await b.client.query("notify news; notify late");
  assert.equal((await told)[0], "late");
  await Promise.all([a, b].map((one) => one.client.end()));
}

// Two of node-postgres' own pools, which set up each new connection by an event and reset nothing.
async function crowd() {
  const pools = ["a", "b"].map((tenant) => {
    const pool = new Pool({ ...settings, max: 6, connectionTimeoutMillis: PATIENCE, application_name: `app ${tenant}` });
    pool.on("connect", (client) => {
      client.query(`SET search_path TO tenant_${tenant}; SET statement_timeout TO 30000; SET app.tenant TO ${tenant}`);
    });
    return { tenant, pool };
  });
  const look =
    "select name, current_setting('app.tenant') as me, current_setting('statement_timeout') as timeout," +
    " current_setting('application_name') as app, $1::int as n from who";
  const one = async ({ tenant, pool }, n) => {
    const { rows } = await pool.query({ name: "look", text: look, values: [n] });
    assert.deepEqual(rows, [{ name: tenant, me: tenant, timeout: "30s", app: `app ${tenant}`, n }]);
  };
  await Promise.all(pools.flatMap((pool) => Array.from({ length: 150 }, (_, n) => one(pool, n))));
  await Promise.all(pools.map(({ pool }) => pool.end()));
}

async function strangersSeeNothing(unrest, before) {
  const strangers = await Promise.all(Array.from({ length: 4 }, () => Watched.opened("a stranger", unrest, { application_name: "" })));
  await Promise.all(strangers.map(({ client }) => client.query("begin")));
  for (const stranger of strangers) {
    assert.deepEqual(await stranger.look(), before, "the session of somebody who comes last");
    assert.deepEqual((await stranger.client.query("select pg_listening_channels()")).rows, []);
  }
  await Promise.all(strangers.map(({ client }) => client.end()));
}

async function main(conninfo) {
  settings = words(conninfo);
  const unrest = await Unrest.begin();
  const first = await Watched.opened("a stranger", unrest, { application_name: "" });
  await first.client.end();
  for (const part of [settingsFollow, prepared, pinned, notifications]) await part(unrest);
  await unrest.end();
  await crowd();
  await strangersSeeNothing(unrest, first.expected);
  console.log(`backends: ${mostBackends}`);
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
