// node-postgres as applications use it. Argument: a libpq connection string. Ends with 1 and a message at any mismatch.
"use strict";

const assert = require("node:assert/strict");
const { Client, Pool } = require("pg");

const ROWS = 2000;

// libpq's words for node-postgres'.
function settings(conninfo) {
  const known = Object.fromEntries(conninfo.split(/\s+/).map((word) => word.split("=")));
  return { host: known.host, port: Number(known.port), database: known.dbname, user: known.user };
}

async function queries(client) {
  const simple = await client.query("select 1 as n, 'ä' as t, null as x");
  assert.deepEqual(simple.rows, [{ n: 1, t: "ä", x: null }]);
  const several = await client.query("select 1 as a; select 2 as b");
  assert.deepEqual(several.map((result) => result.rows), [[{ a: 1 }], [{ b: 2 }]]);
  const parameters = await client.query("select $1::int + $2::int as sum", [2, 3]);
  assert.equal(parameters.rows[0].sum, 5);
  const many = await client.query("select n from generate_series(1, $1::int) n", [ROWS]);
  assert.deepEqual(many.rows.map((row) => row.n), Array.from({ length: ROWS }, (_, n) => n + 1));
}

async function prepared(client) {
  for (let n = 0; n < 20; n++) {
    const result = await client.query({ name: "double", text: "select $1::int * 2 as twice", values: [n] });
    assert.equal(result.rows[0].twice, n * 2);
  }
}

async function transactions(client) {
  await client.query("create table node_check (n int)");
  await client.query("begin");
  await client.query("insert into node_check values ($1)", [1]);
  await assert.rejects(client.query("select 1 / $1::int", [0]), { code: "22012" });
  await assert.rejects(client.query("select 1"), { code: "25P02" });
  await client.query("rollback");
  assert.deepEqual((await client.query("select count(*)::int as n from node_check")).rows, [{ n: 0 }]);
  await client.query("drop table node_check");
}

// More at once than a pool of server connections has; each must get its own answers.
async function crowd(conninfo) {
  const pool = new Pool({ ...settings(conninfo), max: 12 });
  const one = async (me) => {
    for (let n = 0; n < 20; n++) {
      const query = { name: `mine ${me % 4}`, text: `select $1::int as n, ${me % 4} as me`, values: [n] };
      assert.deepEqual((await pool.query(query)).rows, [{ n, me: me % 4 }]);
    }
  };
  await Promise.all(Array.from({ length: 24 }, (_, me) => one(me)));
  await pool.end();
}

async function main(conninfo) {
  const client = new Client(settings(conninfo));
  await client.connect();
  await queries(client);
  await prepared(client);
  await transactions(client);
  await crowd(conninfo);
  await client.end();
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
