# ruby-pg as Rails uses it, with all the session state it can have. Argument: a connection string. Ends with 1 at any
# mismatch.

require "json"
require "pg"

LOOK = File.read(File.join(__dir__, "look.sql"))
PATIENCE = 20

def equal(what, actual, expected)
  abort("#{what}: expected #{expected.inspect}, got #{actual.inspect}") if actual != expected
end

# A connection, and what every look at its session must show.
class Watched
  @most_backends = 0
  class << self
    attr_accessor :most_backends
  end

  attr_reader :conn, :expected

  def initialize(name, conn, unrest)
    @name = name
    @conn = conn
    @unrest = unrest
    @backends = {}
    @expected = look
  end

  def look
    look = JSON.parse(@conn.exec(LOOK).getvalue(0, 0))
    @backends[look.delete("backend")] = true
    Watched.most_backends = [Watched.most_backends, @backends.size].max
    look
  end

  def changed(**changes)
    @expected.merge!(changes.transform_keys(&:to_s))
  end

  def check(at)
    @unrest.stir
    equal("the session of #{@name} #{at}", look, @expected)
  end

  def ask(query, *values)
    @unrest.stir
    @conn.exec_params(query, values).values
  end
end

# Two connections that do nothing but hold a server connection for a while: now one, now both, now the other.
class Unrest
  def initialize(conninfo)
    @holders = Array.new(2) { PG.connect(conninfo) }
    @turn = 0
  end

  def stir
    holder = @holders[(@turn += 1) % 2]
    holder.exec(holder.transaction_status == PG::PQTRANS_INTRANS ? "COMMIT" : "BEGIN")
  end

  def stop
    @holders.each(&:close)
  end
end

# What Rails says on each new connection of a database with `schema_search_path` and `variables`.
def set_up_like_rails(conn, schema: nil, statement_timeout: nil)
  conn.set_client_encoding("utf8")
  conn.exec("SET client_min_messages TO 'warning'")
  conn.exec("SET search_path TO #{schema}") if schema
  conn.exec("SET standard_conforming_strings = on")
  conn.exec("SET intervalstyle = iso_8601")
  conn.exec("SET SESSION timezone TO 'UTC'")
  conn.exec("SET SESSION statement_timeout TO #{conn.quote_ident(statement_timeout)}") if statement_timeout
  conn.type_map_for_results = PG::BasicTypeMapForResults.new(conn)
end

def opened(name, unrest, conninfo, **set_up)
  conn = PG.connect("#{conninfo} application_name='app #{name}'")
  set_up_like_rails(conn, **set_up)
  Watched.new(name, conn, unrest)
end

def fails(what, error)
  yield
rescue error
  nil
else
  abort("#{what} did not fail")
end

def settings(conninfo, unrest)
  a = opened("a", unrest, conninfo, schema: "tenant_a", statement_timeout: "30s")
  b = opened("b", unrest, conninfo, schema: "tenant_b")
  c = Watched.new("c", PG.connect("#{conninfo} application_name=c options='-c search_path=tenant_a,public'"), unrest)
  equal("set up", [a.expected["timezone"], a.expected["search_path"], a.expected["statement_timeout"]], %w[UTC tenant_a 30s])
  everybody = ->(at) { [a, b, c, b, a].each { |one| one.check(at) } }
  everybody.call("after set-up")
  quiet = "select current_setting('client_min_messages'), current_setting('intervalstyle')"
  [[a, %w[warning iso_8601]], [c, %w[notice postgres]], [b, %w[warning iso_8601]]].each do |one, expected|
    equal("Rails' settings", one.ask(quiet), [expected])
  end
  [[a, "a"], [b, "b"], [c, "a"]].each { |one, name| equal("by search_path", one.ask("select name from who"), [[name]]) }
  b.conn.exec("SET ROLE tenant_b")
  b.conn.exec("SET app.tenant = 'b'")
  b.changed(role: "tenant_b", tenant: "b")
  fails("a transaction", PG::DivisionByZero) do
    a.conn.transaction do
      a.conn.exec("SET app.tenant = 'gone'; SET ROLE tenant_a")
      a.conn.exec("SELECT 1 / 0")
    end
  end
  everybody.call("after a failed transaction")
  a.conn.transaction { a.conn.exec("SET LOCAL statement_timeout TO 1000; SET app.tenant = 'a'") }
  a.changed(tenant: "a")
  everybody.call("after a commit")
  # Rails' `reset!`.
  b.conn.exec("DISCARD ALL")
  set_up_like_rails(b.conn, schema: "tenant_b")
  b.changed(role: "postgres", tenant: "")
  everybody.call("after reset!")
  c.conn.exec("SET search_path TO public; RESET search_path")
  everybody.call("after RESET")
  [a, b, c].each { |one| one.conn.close }
end

# Rails names statements a1, a2, … in each connection, and forgets the least used.
def prepared(conninfo, unrest)
  all = %w[a b].map { |name| opened(name, unrest, conninfo, schema: "tenant_#{name}") }
  all.each { |one| one.conn.prepare("a1", "select name, $1::int from who") }
  all[0].conn.prepare("a2", "select 'first', $1::int")
  all[1].conn.prepare("a2", "select 'second', $1::text")
  5.times do |n|
    all.zip(%w[a b]).each do |one, name|
      unrest.stir
      equal("a1", one.conn.exec_prepared("a1", [n]).values, [[name, n]])
      one.conn.transaction { equal("a1 again", one.conn.exec_prepared("a1", [n]).values, [[name, n]]) }
    end
    unrest.stir
    equal("a2", all.map { |one| one.conn.exec_prepared("a2", [n]).values }, [[["first", n]], [["second", n.to_s]]])
  end
  all[0].conn.exec("DEALLOCATE a1")
  unrest.stir
  fails("a dropped statement", PG::InvalidSqlStatementName) { all[0].conn.exec_prepared("a1", [1]) }
  equal("the other's", all[1].conn.exec_prepared("a1", [1]).values, [["b", 1]])
  all[0].conn.prepare("a1", "select 'anew'")
  unrest.stir
  equal("prepared anew", all[0].conn.exec_prepared("a1").values, [["anew"]])
  fails("a name in use", PG::DuplicatePstatement) { all[0].conn.prepare("a2", "select 1") }
  unrest.stir
  equal("by SQL", all[0].conn.exec("EXECUTE a2(3)").values, [["first", 3]])
  all[0].conn.exec("PREPARE a3 AS SELECT 3")
  unrest.stir
  equal("the other way", all[0].conn.exec_prepared("a3").values, [[3]])
  all[0].conn.exec("DEALLOCATE ALL")
  unrest.stir
  fails("a dropped statement", PG::InvalidSqlStatementName) { all[0].conn.exec_prepared("a2", [1]) }
  all.each { |one| one.conn.close }
end

def pinned(conninfo, unrest)
  a = opened("a", unrest, conninfo)
  b = opened("b", unrest, conninfo)
  both = ->(at) { [a, b, a, b].each { |one| one.check(at) } }
  # Rails' lock around migrations.
  equal("lock", a.ask("SELECT pg_try_advisory_lock(3512391347)"), [[true]])
  a.changed(locks: 1)
  both.call("with a lock")
  equal("locked", b.ask("SELECT pg_try_advisory_lock(3512391347)"), [[false]])
  equal("unlock", a.ask("SELECT pg_advisory_unlock(3512391347)"), [[true]])
  a.conn.exec("CREATE TEMPORARY TABLE mine (n int)")
  a.changed(locks: 0, temporary: 1)
  both.call("with a temporary table")
  a.conn.copy_data("COPY mine FROM STDIN") { 100.times { |n| a.conn.put_copy_data("#{n}\n") } }
  both.call("after a COPY")
  equal("rows", a.ask("SELECT count(*) FROM mine"), [[100]])
  a.conn.exec("DROP TABLE mine; DECLARE walk CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 10) n")
  a.changed(temporary: 0, cursors: 1)
  found = []
  until (rows = a.ask("FETCH 3 FROM walk")).empty?
    found += rows.flatten
    both.call("with a cursor")
  end
  equal("a cursor WITH HOLD", found, (1..10).to_a)
  a.conn.exec("CLOSE walk")
  a.changed(cursors: 0)
  both.call("after the cursor")
  [a, b].each { |one| one.conn.close }
end

def notifications(conninfo, unrest)
  a = opened("a", unrest, conninfo)
  b = opened("b", unrest, conninfo)
  a.conn.exec("LISTEN news")
  5.times do |n|
    b.ask("SELECT pg_notify('news', $1)::text", n.to_s)
    heard = nil
    a.conn.wait_for_notify(PATIENCE) { |channel, pid, payload| heard = [channel, pid, payload] }
    equal("heard", heard, ["news", b.conn.backend_pid, n.to_s])
    a.check("while it listens")
  end
  a.conn.exec("UNLISTEN news")
  a.conn.exec("LISTEN late")
  b.conn.exec("NOTIFY news; NOTIFY late")
  equal("after UNLISTEN", a.conn.wait_for_notify(PATIENCE), "late")
  [a, b].each { |one| one.conn.close }
end

def crowd(conninfo)
  one = lambda do |me|
    tenant = %w[a b][me % 2]
    conn = PG.connect("#{conninfo} application_name='app #{me}'")
    set_up_like_rails(conn, schema: "tenant_#{tenant}", statement_timeout: "#{me + 10}s")
    look = "select name, current_setting('statement_timeout'), current_setting('application_name'), $1::int from who"
    conn.prepare("a1", look)
    25.times do |n|
      conn.transaction do
        equal("in a crowd", conn.exec_prepared("a1", [n]).values, [[tenant, "#{me + 10}s", "app #{me}", n]])
      end
    end
    conn.close
  end
  threads = Array.new(12) { |me| Thread.new { one.call(me) } }
  threads.each(&:join)
end

def strangers_see_nothing(conninfo, before)
  strangers = Array.new(4) { PG.connect(conninfo) }
  strangers.each { |conn| conn.exec("BEGIN") }
  strangers.each do |conn|
    equal("the session of somebody who comes last", Watched.new("a stranger", conn, nil).expected, before)
    equal("channels left", conn.exec("SELECT pg_listening_channels()").values, [])
  end
  strangers.each(&:close)
end

conninfo = ARGV.fetch(0)
Thread.report_on_exception = false
first = PG.connect(conninfo)
before = Watched.new("a stranger", first, nil).expected
first.close
unrest = Unrest.new(conninfo)
%i[settings prepared pinned notifications].each { |part| send(part, conninfo, unrest) }
unrest.stop
crowd(conninfo)
strangers_see_nothing(conninfo, before)
puts "backends: #{Watched.most_backends}"
