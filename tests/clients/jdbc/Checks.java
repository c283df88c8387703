// What applications do through pgjdbc, checked by what comes back. Prints passed/total, and each failure.

import java.io.*;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

public class Checks {
    interface Check {
        void run(Connection connection) throws Exception;
    }

    static final Map<String, Check> CHECKS = new LinkedHashMap<>();
    static final String URL = "jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + env("PGDATABASE");

    static String env(String name) {
        return System.getenv(name);
    }

    static Connection connect(String... settings) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", env("PGUSER"));
        if (env("PGPASSWORD") != null) properties.setProperty("password", env("PGPASSWORD"));
        properties.setProperty("currentSchema", "jdbc");
        for (int i = 0; i < settings.length; i += 2) properties.setProperty(settings[i], settings[i + 1]);
        return DriverManager.getConnection(URL, properties);
    }

    static void same(Object expected, Object got) {
        if (!Objects.deepEquals(expected, got)) {
            throw new AssertionError("expected " + show(expected) + ", got " + show(got));
        }
    }

    static String show(Object value) {
        return value instanceof Object[] array ? Arrays.deepToString(array) : String.valueOf(value);
    }

    static void execute(Connection c, String... statements) throws SQLException {
        try (Statement s = c.createStatement()) {
            for (String sql : statements) s.execute(sql);
        }
    }

    /** Rows as text, columns joined with |. */
    static List<String> rows(ResultSet rows, String... columns) throws SQLException {
        List<String> all = new ArrayList<>();
        while (rows.next()) {
            StringJoiner row = new StringJoiner("|");
            int count = columns.length == 0 ? rows.getMetaData().getColumnCount() : columns.length;
            for (int i = 0; i < count; i++) {
                row.add(columns.length == 0 ? rows.getString(i + 1) : rows.getString(columns[i]));
            }
            all.add(row.toString());
        }
        rows.close();
        return all;
    }

    static List<String> query(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) {
            return rows(s.executeQuery(sql));
        }
    }

    /** The SQLSTATE with which it fails. */
    static PSQLException fails(String state, Check work, Connection c) throws Exception {
        try {
            work.run(c);
        } catch (PSQLException error) {
            same(state, error.getSQLState());
            return error;
        }
        throw new AssertionError("no error where " + state + " was expected");
    }

    /** In text and in binary format: the server prepares at the first use, and pgjdbc then asks for binary. */
    static void bothWays(String type, Object value, Class<?> as) throws Exception {
        for (String binary : List.of("false", "true")) {
            try (Connection c = connect("binaryTransfer", binary, "prepareThreshold", binary.equals("true") ? "-1" : "5");
                    PreparedStatement s = c.prepareStatement("select ?::" + type + ", null::" + type)) {
                for (int i = 0; i < 2; i++) {
                    s.setObject(1, value);
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        same(value, as == null ? r.getObject(1) : r.getObject(1, as));
                        same(null, r.getObject(2));
                        same(true, r.wasNull());
                    }
                }
            }
        }
    }

    static void types() {
        CHECKS.put("types: numbers", c -> {
            bothWays("int4", 2147483647, null);
            bothWays("int8", Long.MIN_VALUE, null);
            bothWays("float8", 0.1, null);
            bothWays("float4", 1.5f, null);
            bothWays("numeric", new BigDecimal("-12345678901234567890.000123"), null);
            bothWays("bool", true, null);
        });
        CHECKS.put("types: text, bytes, uuid", c -> {
            bothWays("text", "grüße \"'\\ 漢字 \uD83D\uDE00", null);
            bothWays("varchar(10)", "abc", null);
            bothWays("uuid", UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), null);
            bothWays("bytea", new byte[] {0, 1, -1, 39, 92}, null);
        });
        CHECKS.put("types: dates and times", c -> {
            bothWays("date", LocalDate.of(2024, 2, 29), LocalDate.class);
            bothWays("time", LocalTime.of(23, 59, 59, 999_999_000), LocalTime.class);
            bothWays("timestamp", LocalDateTime.of(1999, 12, 31, 23, 59, 59, 123_456_000), LocalDateTime.class);
            bothWays("timestamptz", OffsetDateTime.of(2001, 1, 1, 12, 0, 0, 0, ZoneOffset.UTC), OffsetDateTime.class);
            try (PreparedStatement s = c.prepareStatement("select ?::timestamptz = '2020-05-05 05:05:05Z'")) {
                s.setTimestamp(1, Timestamp.from(Instant.parse("2020-05-05T05:05:05Z")));
                same(List.of("t"), rows(s.executeQuery()));
            }
        });
        CHECKS.put("types: arrays", c -> {
            try (PreparedStatement s = c.prepareStatement("select ?::int[], ?::text[], '{{1,2},{3,4}}'::int[], '{a,NULL}'::text[]")) {
                for (int i = 0; i < 7; i++) {
                    s.setArray(1, c.createArrayOf("int4", new Integer[] {1, null, 3}));
                    s.setArray(2, c.createArrayOf("text", new String[] {"a,b", "\"q\"", ""}));
                    ResultSet r = s.executeQuery();
                    r.next();
                    same(new Integer[] {1, null, 3}, r.getArray(1).getArray());
                    same(new String[] {"a,b", "\"q\"", ""}, r.getArray(2).getArray());
                    same(new Integer[][] {{1, 2}, {3, 4}}, r.getArray(3).getArray());
                    same(new String[] {"a", null}, r.getArray(4).getArray());
                }
            }
            same(List.of("2"), query(c, "select count(*) from unnest(array[1, 2]) u where u = any('{1,2,3}'::int[])"));
        });
        CHECKS.put("types: json, enum, interval, others as PGobject", c -> {
            execute(c, "create type mood as enum ('sad', 'ok')");
            for (String[] one : new String[][] {
                {"jsonb", "{\"a\": [1, null]}"}, {"json", "{ }"}, {"mood", "ok"}, {"inet", "10.0.0.0/8"}, {"int4range", "[1,5)"},
                {"bit(3)", "101"}, {"interval", "1 year 2 days"}
            }) {
                try (PreparedStatement s = c.prepareStatement("select (?::" + one[0] + ")::text")) {
                    PGobject value = new PGobject();
                    value.setType(one[0].replace("(3)", ""));
                    value.setValue(one[1]);
                    s.setObject(1, value);
                    same(List.of(one[1]), rows(s.executeQuery()));
                }
            }
        });
    }

    static void statements() {
        CHECKS.put("prepared: server-side from the fifth use on, simple mode, many parameters", c -> {
            execute(c, "create table p (a int, b text)");
            try (PreparedStatement s = c.prepareStatement("insert into p values (?, ?)")) {
                for (int i = 0; i < 20; i++) {
                    s.setInt(1, i);
                    if (i % 2 == 0) s.setNull(2, Types.VARCHAR); else s.setString(2, "n" + i);
                    same(1, s.executeUpdate());
                }
            }
            same(List.of("20|10|190"), query(c, "select count(*), count(b), sum(a) from p"));
            same(List.of("1"), query(c, "select count(*) from pg_prepared_statements where statement like 'insert into p%'"));
            try (Connection simple = connect("preferQueryMode", "simple");
                    PreparedStatement s = simple.prepareStatement("select ?::int + ?, ?")) {
                s.setInt(1, -1);
                s.setInt(2, -2);
                s.setString(3, "it's \\");
                same(List.of("-3|it's \\"), rows(s.executeQuery()));
            }
            String many = "select count(*) from generate_series(1, 2000) g where g in (" + String.join(", ", Collections.nCopies(1000, "?")) + ")";
            try (PreparedStatement s = c.prepareStatement(many)) {
                for (int i = 1; i <= 1000; i++) s.setInt(i, 2 * i);
                same(List.of("1000"), rows(s.executeQuery()));
            }
        });
        CHECKS.put("prepared: a table that changes under it", c -> {
            execute(c, "create table change (a int)", "insert into change values (1)");
            try (PreparedStatement s = c.prepareStatement("select * from change")) {
                for (int i = 0; i < 6; i++) rows(s.executeQuery());
                execute(c, "alter table change alter a type text");
                // Outside of a transaction pgjdbc prepares anew by itself.
                same(List.of("1"), rows(s.executeQuery()));
                c.setAutoCommit(false);
                execute(c, "alter table change add b int");
                PSQLException error = fails("0A000", x -> s.executeQuery(), c);
                same("cached plan must not change result type", error.getServerErrorMessage().getMessage());
                c.rollback();
            }
        });
        CHECKS.put("prepared: metadata of parameters and results", c -> {
            execute(c, "create table meta (id serial primary key, name varchar(20) not null, price numeric(10,2))");
            try (PreparedStatement s = c.prepareStatement("select id, name as label, price, price * 2 from meta where id = ? and name = ?")) {
                ParameterMetaData p = s.getParameterMetaData();
                same(2, p.getParameterCount());
                same("int4|text", p.getParameterTypeName(1) + "|" + p.getParameterTypeName(2));
                ResultSetMetaData m = s.getMetaData();
                same("label|name|varchar|20", m.getColumnLabel(2) + "|" + ((org.postgresql.PGResultSetMetaData) m).getBaseColumnName(2)
                        + "|" + m.getColumnTypeName(2) + "|" + m.getPrecision(2));
                same("10|2|" + Types.NUMERIC, m.getPrecision(3) + "|" + m.getScale(3) + "|" + m.getColumnType(3));
                same(ResultSetMetaData.columnNoNulls, m.isNullable(2));
                same(true, m.isAutoIncrement(1));
                same("meta|", m.getTableName(1) + "|" + m.getTableName(4));
            }
        });
        CHECKS.put("batches: prepared, rewritten, plain, with an error", c -> {
            execute(c, "create table batch (id int primary key, v text)");
            try (PreparedStatement s = c.prepareStatement("insert into batch values (?, ?)")) {
                for (int i = 0; i < 500; i++) {
                    s.setInt(1, i);
                    s.setString(2, "v" + i);
                    s.addBatch();
                }
                same(500, Arrays.stream(s.executeBatch()).sum());
            }
            try (Connection r = connect("reWriteBatchedInserts", "true");
                    PreparedStatement s = r.prepareStatement("insert into batch values (?, ?)")) {
                for (int i = 500; i < 1000; i++) {
                    s.setInt(1, i);
                    s.setString(2, "v" + i);
                    s.addBatch();
                }
                same(500, s.executeBatch().length);
            }
            same(List.of("1000"), query(c, "select count(*) from batch"));
            try (Statement s = c.createStatement()) {
                s.addBatch("update batch set v = 'x' where id < 10");
                s.addBatch("delete from batch where id >= 990");
                same(new int[] {10, 10}, s.executeBatch());
            }
            c.setAutoCommit(false);
            try (Statement s = c.createStatement()) {
                s.addBatch("insert into batch values (2000, 'a')");
                s.addBatch("insert into batch values (1, 'twice')");
                s.executeBatch();
                throw new AssertionError("no error");
            } catch (BatchUpdateException error) {
                same("23505", error.getSQLState());
            }
            c.rollback();
            same(List.of("990"), query(c, "select count(*) from batch"));
        });
        CHECKS.put("generated keys", c -> {
            execute(c, "create table keys (id bigint generated always as identity primary key, v text, made timestamptz default now())");
            try (PreparedStatement s = c.prepareStatement("insert into keys (v) values (?), (?)", Statement.RETURN_GENERATED_KEYS)) {
                s.setString(1, "a");
                s.setString(2, "b");
                same(2, s.executeUpdate());
                same(List.of("1|a", "2|b"), rows(s.getGeneratedKeys(), "id", "v"));
            }
            try (PreparedStatement s = c.prepareStatement("insert into keys (v) values (?)", new String[] {"id"})) {
                for (int i = 0; i < 3; i++) {
                    s.setString(1, "n" + i);
                    s.addBatch();
                }
                s.executeBatch();
                same(List.of("3", "4", "5"), rows(s.getGeneratedKeys()));
            }
            try (Statement s = c.createStatement()) {
                s.executeUpdate("update keys set v = v || '!' where id > 3", new String[] {"v"});
                same(List.of("n1!", "n2!"), rows(s.getGeneratedKeys()));
            }
        });
        CHECKS.put("several statements, several results", c -> {
            try (Statement s = c.createStatement()) {
                same(true, s.execute("select 1; create temp table multi (a int); insert into multi values (1), (2); select count(*) from multi"));
                same(List.of("1"), rows(s.getResultSet()));
                same(false, s.getMoreResults());
                same(0, s.getUpdateCount());
                same(false, s.getMoreResults());
                same(2, s.getUpdateCount());
                same(true, s.getMoreResults());
                same(List.of("2"), rows(s.getResultSet()));
            }
        });
        CHECKS.put("fetch size: rows come in portions, in a transaction", c -> {
            c.setAutoCommit(false);
            execute(c, "create sequence portions");
            try (PreparedStatement s = c.prepareStatement("select nextval('portions') from generate_series(1, 10000)")) {
                s.setFetchSize(100);
                ResultSet r = s.executeQuery();
                for (int i = 0; i < 150; i++) r.next();
                same(150L, r.getLong(1));
                // What was not asked for was not computed.
                same(List.of("200"), query(c, "select last_value from portions"));
                int rest = 0;
                while (r.next()) rest++;
                same(9850, rest);
            }
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
                ResultSet r = s.executeQuery("select generate_series(1, 10)");
                r.absolute(-2);
                same(9, r.getInt(1));
                r.previous();
                same(8, r.getInt(1));
            }
            c.rollback();
        });
        CHECKS.put("updatable result sets", c -> {
            execute(c, "create table upd (id int primary key, v text)", "insert into upd values (1, 'a'), (2, 'b')");
            try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
                ResultSet r = s.executeQuery("select id, v from upd order by id");
                r.next();
                r.updateString("v", "changed");
                r.updateRow();
                r.next();
                r.deleteRow();
                r.moveToInsertRow();
                r.updateInt("id", 3);
                r.updateString("v", "new");
                r.insertRow();
            }
            same(List.of("1|changed", "3|new"), query(c, "select * from upd order by id"));
        });
        CHECKS.put("functions and procedures by CallableStatement", c -> {
            execute(c, "create function twice(a int) returns int language sql as 'select a * 2'",
                    "create procedure put(a int, inout b int) language plpgsql as 'begin b := a + b; end'",
                    "create function cursor_of(n int) returns refcursor language plpgsql as "
                            + "'declare r refcursor; begin open r for select generate_series(1, n); return r; end'");
            try (CallableStatement s = c.prepareCall("{? = call twice(?)}")) {
                s.registerOutParameter(1, Types.INTEGER);
                s.setInt(2, 21);
                s.execute();
                same(42, s.getInt(1));
            }
            try (PreparedStatement s = c.prepareStatement("call put(?, ?)")) {
                s.setInt(1, 1);
                s.setInt(2, 2);
                same(List.of("3"), rows(s.executeQuery()));
            }
            c.setAutoCommit(false);
            try (CallableStatement s = c.prepareCall("{? = call cursor_of(?)}")) {
                s.registerOutParameter(1, Types.OTHER);
                s.setInt(2, 3);
                s.execute();
                same(List.of("1", "2", "3"), rows((ResultSet) s.getObject(1)));
            }
            c.rollback();
        });
    }

    static void transactions() {
        CHECKS.put("transactions: isolation, read only, savepoints", c -> {
            execute(c, "create table tx (a int)");
            c.setAutoCommit(false);
            for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_READ_COMMITTED}) {
                c.setTransactionIsolation(level);
                same(level, c.getTransactionIsolation());
                c.rollback();
            }
            execute(c, "insert into tx values (1)");
            Savepoint named = c.setSavepoint("one");
            execute(c, "insert into tx values (2)");
            Savepoint unnamed = c.setSavepoint();
            fails("22012", x -> query(x, "select 1 / 0"), c);
            fails("25P02", x -> query(x, "select 1"), c);
            c.rollback(unnamed);
            same(List.of("2"), query(c, "select count(*) from tx"));
            c.rollback(named);
            c.commit();
            same(List.of("1"), query(c, "select a from tx"));
            c.rollback();
            c.setReadOnly(true);
            fails("25006", x -> execute(x, "insert into tx values (3)"), c);
            c.rollback();
        });
        CHECKS.put("transactions: autosave=always goes on after an error", c -> {
            try (Connection a = connect("autosave", "always")) {
                a.setAutoCommit(false);
                execute(a, "create table saved (a int primary key)", "insert into saved values (1)");
                fails("23505", x -> execute(x, "insert into saved values (1)"), a);
                execute(a, "insert into saved values (2)");
                a.commit();
                same(List.of("2"), query(a, "select count(*) from saved"));
            }
        });
        CHECKS.put("transactions: two phases (XA)", c -> {
            if (query(c, "show max_prepared_transactions").equals(List.of("0"))) return;
            org.postgresql.xa.PGXADataSource source = new org.postgresql.xa.PGXADataSource();
            source.setUrl(URL + "?currentSchema=jdbc");
            source.setUser(env("PGUSER"));
            execute(c, "create table xa (a int)");
            javax.sql.XAConnection xa = source.getXAConnection();
            javax.transaction.xa.Xid id = new javax.transaction.xa.Xid() {
                public int getFormatId() { return 1; }
                public byte[] getGlobalTransactionId() { return "jdbc-checks".getBytes(); }
                public byte[] getBranchQualifier() { return "b".getBytes(); }
            };
            xa.getXAResource().start(id, javax.transaction.xa.XAResource.TMNOFLAGS);
            execute(xa.getConnection(), "insert into xa values (7)");
            xa.getXAResource().end(id, javax.transaction.xa.XAResource.TMSUCCESS);
            xa.getXAResource().prepare(id);
            same(1, xa.getXAResource().recover(javax.transaction.xa.XAResource.TMSTARTRSCAN).length);
            xa.getXAResource().commit(id, false);
            xa.close();
            same(List.of("7"), query(c, "select a from xa"));
        });
        CHECKS.put("errors: SQLSTATE, position, constraint, detail", c -> {
            execute(c, "create table err (a int primary key, b int check (b > 0), c int not null, d int references err)");
            PSQLException error = fails("42703", x -> query(x, "select nope from err"), c);
            same(8, error.getServerErrorMessage().getPosition());
            execute(c, "insert into err values (1, 1, 1)");
            error = fails("23505", x -> execute(x, "insert into err values (1, 1, 1)"), c);
            same("err_pkey|err|jdbc|Key (a)=(1) already exists.", error.getServerErrorMessage().getConstraint() + "|"
                    + error.getServerErrorMessage().getTable() + "|" + error.getServerErrorMessage().getSchema() + "|"
                    + error.getServerErrorMessage().getDetail());
            same("err_b_check", fails("23514", x -> execute(x, "insert into err values (2, -1, 1)"), c).getServerErrorMessage().getConstraint());
            same("c", fails("23502", x -> execute(x, "insert into err values (2, 1, null)"), c).getServerErrorMessage().getColumn());
            same("err_d_fkey", fails("23503", x -> execute(x, "insert into err values (2, 1, 1, 9)"), c).getServerErrorMessage().getConstraint());
            fails("57014", x -> {
                try (Statement s = x.createStatement()) {
                    s.setQueryTimeout(1);
                    s.execute("select pg_sleep(20)");
                }
            }, c);
        });
        CHECKS.put("cancel, warnings, application name, isValid", c -> {
            try (Statement s = c.createStatement()) {
                Thread other = new Thread(() -> {
                    try {
                        // As soon as it is seen to run.
                        try (Connection watch = connect()) {
                            while (query(watch, "select 1 from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'").isEmpty());
                        }
                        s.cancel();
                    } catch (SQLException error) {
                        throw new IllegalStateException(error);
                    }
                });
                other.start();
                fails("57014", x -> s.execute("select pg_sleep(30)"), c);
                other.join();
                s.execute("do $$ begin raise warning 'careful %', 1; end $$");
                same("careful 1", s.getWarnings().getMessage());
            }
            c.setClientInfo("ApplicationName", "checks");
            same(List.of("checks"), query(c, "show application_name"));
            same(true, c.isValid(5));
            same("jdbc", c.getSchema());
            same(env("PGDATABASE"), c.getCatalog());
        });
    }

    static void own() {
        CHECKS.put("COPY in and out", c -> {
            execute(c, "create table copied (a int, b text)");
            CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder data = new StringBuilder();
            for (int i = 0; i < 10000; i++) data.append(i).append('\t').append("line ").append(i).append('\n');
            same(10000L, copy.copyIn("copy copied from stdin", new StringReader(data.toString())));
            StringWriter out = new StringWriter();
            same(10000L, copy.copyOut("copy (select * from copied order by a) to stdout", out));
            same(data.toString(), out.toString());
            org.postgresql.copy.CopyOut each = copy.copyOut("copy (select a from copied where a < 3 order by a) to stdout");
            for (String row : List.of("0\n", "1\n", "2\n")) {
                same(row, new String(each.readFromCopy(), StandardCharsets.UTF_8));
            }
            same(null, each.readFromCopy());
            fails("22P02", x -> copy.copyIn("copy copied from stdin", new StringReader("x\ty\n")), c);
            org.postgresql.copy.CopyIn aborted = copy.copyIn("copy copied from stdin");
            byte[] line = "1\tz\n".getBytes();
            aborted.writeToCopy(line, 0, line.length);
            aborted.cancelCopy();
            same(List.of("10000"), query(c, "select count(*) from copied"));
        });
        CHECKS.put("LISTEN and NOTIFY", c -> {
            try (Connection sender = connect()) {
                execute(c, "listen news");
                execute(sender, "notify news, 'one'", "select pg_notify('news', 'two')");
                List<String> heard = new ArrayList<>();
                while (heard.size() < 2) {
                    var notifications = c.unwrap(PGConnection.class).getNotifications(10000);
                    if (notifications == null || notifications.length == 0) break;
                    for (var n : notifications) heard.add(n.getName() + ":" + n.getParameter());
                }
                same(List.of("news:one", "news:two"), heard);
            }
        });
        CHECKS.put("several hosts, target server type", c -> {
            String url = URL.replace("//" + env("PGHOST") + ":" + env("PGPORT"), "//" + env("PGHOST") + ":1," + env("PGHOST") + ":" + env("PGPORT"));
            try (Connection p = DriverManager.getConnection(url + "?targetServerType=primary&user=" + env("PGUSER"))) {
                same(List.of("f"), query(p, "select pg_is_in_recovery()"));
            }
        });
    }

    static void metadata() {
        String[] schema = {
            "create table author (id serial primary key, name varchar(50) not null, born date default '1900-01-01')",
            "comment on table author is 'who writes'",
            "comment on column author.name is 'full'",
            "create table book (isbn char(13), edition int, author_id int not null references author on delete cascade on update restrict,"
                    + " title text, price numeric(8,2), tags text[], primary key (isbn, edition), constraint once unique (title, author_id))",
            "create index book_price on book (price desc, title)",
            "create unique index book_lower on book (lower(title)) where price > 0",
            "create view cheap as select isbn, title from book where price < 10",
            "create sequence counter",
            "create type colour as enum ('red')",
            "create domain positive as int check (value > 0)",
            "create function area(w int, h int default 1) returns bigint language sql as 'select 1::bigint'",
            "create procedure tidy(a int) language sql as ''",
        };
        CHECKS.put("metadata: tables, views, schemas, types of tables", c -> {
            execute(c, schema);
            DatabaseMetaData m = c.getMetaData();
            same(List.of("author|TABLE|who writes", "book|TABLE|null"), rows(m.getTables(null, "jdbc", "%o%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS"));
            same(List.of("cheap|VIEW"), rows(m.getTables(null, "jdbc", null, new String[] {"VIEW"}), "TABLE_NAME", "TABLE_TYPE"));
            same(List.of("author_id_seq", "counter"), rows(m.getTables(null, "jdbc", null, new String[] {"SEQUENCE"}), "TABLE_NAME"));
            same(true, rows(m.getSchemas(), "TABLE_SCHEM").containsAll(List.of("information_schema", "jdbc", "pg_catalog", "public")));
            same(true, rows(m.getCatalogs()).contains(env("PGDATABASE")));
            same(true, rows(m.getTableTypes()).contains("MATERIALIZED VIEW"));
            same(true, rows(m.getTables(null, "pg_catalog", "pg_class", null), "TABLE_TYPE").contains("SYSTEM TABLE"));
        });
        CHECKS.put("metadata: columns", c -> {
            execute(c, schema);
            DatabaseMetaData m = c.getMetaData();
            same(List.of(
                "id|4|serial|10|0|nextval('author_id_seq'::regclass)|null|1|NO|YES",
                "name|12|varchar|50|0|null|full|2|NO|NO",
                "born|91|date|13|0|'1900-01-01'::date|null|3|YES|NO"),
                rows(m.getColumns(null, "jdbc", "author", null), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "COLUMN_DEF", "REMARKS", "ORDINAL_POSITION", "IS_NULLABLE", "IS_AUTOINCREMENT"));
            same(List.of("isbn|1|bpchar|13", "edition|4|int4|10", "author_id|4|int4|10", "title|12|text|2147483647", "price|2|numeric|8", "tags|2003|_text|2147483647"),
                rows(m.getColumns(null, "jdbc", "book", null), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE"));
            same(List.of("isbn", "title"), rows(m.getColumns(null, "jdbc", "cheap", "%"), "COLUMN_NAME"));
        });
        CHECKS.put("metadata: keys", c -> {
            execute(c, schema);
            DatabaseMetaData m = c.getMetaData();
            same(List.of("isbn|1|book_pkey", "edition|2|book_pkey"), rows(m.getPrimaryKeys(null, "jdbc", "book"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"));
            String[] columns = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE", "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"};
            List<String> key = List.of("author|id|book|author_id|1|1|0|book_author_id_fkey|author_pkey|7");
            same(key, rows(m.getImportedKeys(null, "jdbc", "book"), columns));
            same(key, rows(m.getExportedKeys(null, "jdbc", "author"), columns));
            same(key, rows(m.getCrossReference(null, "jdbc", "author", null, "jdbc", "book"), columns));
            same(List.of("isbn", "edition"), rows(m.getBestRowIdentifier(null, "jdbc", "book", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"));
        });
        CHECKS.put("metadata: indexes", c -> {
            execute(c, schema);
            same(List.of(
                "false|book_lower|1|lower(title)|A|(price > (0)::numeric)",
                "false|book_pkey|1|isbn|A|null",
                "false|book_pkey|2|edition|A|null",
                "false|once|1|title|A|null",
                "false|once|2|author_id|A|null",
                "true|book_price|1|price|D|null",
                "true|book_price|2|title|A|null"),
                rows(c.getMetaData().getIndexInfo(null, "jdbc", "book", false, true), "NON_UNIQUE", "INDEX_NAME", "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC", "FILTER_CONDITION")
                    .stream().map(row -> row.replace("f|", "false|").replace("t|book_price", "true|book_price")).sorted().toList());
        });
        CHECKS.put("metadata: functions, procedures, types, privileges", c -> {
            execute(c, schema);
            DatabaseMetaData m = c.getMetaData();
            same(List.of("area"), rows(m.getFunctions(null, "jdbc", "%"), "FUNCTION_NAME"));
            same(List.of("returnValue|-5", "w|4", "h|4"), rows(m.getFunctionColumns(null, "jdbc", "area", null), "COLUMN_NAME", "DATA_TYPE"));
            same(List.of("tidy"), rows(m.getProcedures(null, "jdbc", "%"), "PROCEDURE_NAME"));
            same(List.of("positive|2001", "author|2002", "book|2002", "cheap|2002"), rows(m.getUDTs(null, "jdbc", "%", null), "TYPE_NAME", "DATA_TYPE"));
            same(true, rows(m.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int4", "text", "jsonb", "_int4", "timestamptz")));
            same(true, rows(m.getTablePrivileges(null, "jdbc", "author"), "GRANTEE", "PRIVILEGE").contains(env("PGUSER") + "|SELECT"));
            same(true, rows(m.getColumnPrivileges(null, "jdbc", "author", "name"), "PRIVILEGE").contains("UPDATE"));
        });
        CHECKS.put("metadata: what the product is", c -> {
            DatabaseMetaData m = c.getMetaData();
            same("PostgreSQL", m.getDatabaseProductName());
            same(15, m.getDatabaseMajorVersion());
            same(63, m.getMaxColumnNameLength());
            same(true, m.getSQLKeywords().contains("concurrently"));
        });
    }

    public static void main(String[] names) throws Exception {
        types();
        statements();
        transactions();
        own();
        metadata();
        int passed = 0, total = 0;
        for (var check : CHECKS.entrySet()) {
            if (names.length > 0 && Arrays.stream(names).noneMatch(check.getKey()::contains)) continue;
            total++;
            try (Connection connection = connect()) {
                connection.setAutoCommit(true);
                execute(connection, "set client_min_messages = warning", "drop schema if exists jdbc cascade", "create schema jdbc", "reset client_min_messages");
                check.getValue().run(connection);
                passed++;
            } catch (Throwable error) {
                System.out.println("jdbc: FAILED " + check.getKey() + ": " + error);
                if (env("TRACE") != null) error.printStackTrace(System.out);
            }
        }
        try (Connection connection = connect()) {
            execute(connection, "set client_min_messages = warning", "drop schema if exists jdbc cascade");
        }
        System.out.println("jdbc: " + passed + "/" + total);
        System.exit(passed == total ? 0 : 1);
    }
}
