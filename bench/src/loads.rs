//! The loads on which SERIALIZABLE transactions are compared: what they set up, what they run, what must hold afterwards.
//!
//! | load | from | what conflicts |
//! |---|---|---|
//! | `tpcb` | pgbench | every transaction updates one of few branches: write-write |
//! | `pairs` | – | reads both rows of one of 100 pairs, updates one: write skew |
//! | `smallbank` | Alomari et al. 2008 | five small transactions on 1,000 customers, a few of them hot: a write skew through a read-only one |
//! | `sibench` | Cahill 2008 | half the transactions look for the least of 100 rows, half update one: readers against writers |
//! | `tpcc` | TPC-C, cut down | two warehouses, five transactions with ranges, inserts and deletes |
//! | `random` | – | two reads by key, one of five neighbours, one update, among 300 rows |
//! | `free` | – | each client has rows of its own: what the bookkeeping costs |
//! | `free-reads` | – | point reads alone |

/// Statements of a transaction, and how often it is chosen.
pub struct Script {
    pub weight: u32,
    pub text: &'static str,
}

pub struct Load {
    pub name: &'static str,
    /// Empty: `pgbench -i`.
    pub setup: &'static str,
    /// Empty: pgbench's own TPC-B.
    pub scripts: &'static [Script],
    /// Answers `t`, however the transactions were ordered.
    pub holds: &'static str,
}

/// TPC-B with all of a transaction in one message.
pub const TPCB_ONE_MESSAGE: Script = Script {
    weight: 1,
    text: "\\set aid random(1, 100000 * :scale)
\\set bid random(1, 1 * :scale)
\\set tid random(1, 10 * :scale)
\\set delta random(-5000, 5000)
BEGIN \\;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid \\;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid \\;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid \\;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid \\;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP) \\;
END;
",
};

pub const SUMS_AGREE: &str = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches) \
     AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(tbalance) FROM pgbench_tellers) \
     AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)";

pub const LOADS: &[Load] = &[
    Load { name: "tpcb", setup: "", scripts: &[], holds: SUMS_AGREE },
    Load {
        name: "pairs",
        setup: "DROP TABLE IF EXISTS pairs;
            CREATE TABLE pairs (pair int, side int, v int NOT NULL, PRIMARY KEY (pair, side));
            INSERT INTO pairs SELECT p, s, 1 FROM generate_series(1, 100) p, generate_series(0, 1) s;
            ANALYZE pairs",
        scripts: &[Script {
            weight: 1,
            text: "\\set pair random(1, 100)
\\set side random(0, 1)
BEGIN;
SELECT sum(v) AS total FROM pairs WHERE pair = :pair \\gset
UPDATE pairs SET v = v + CASE WHEN :total >= 1 THEN -1 ELSE 10 END WHERE pair = :pair AND side = :side;
END;
",
        }],
        // Nobody takes from a pair that he has seen empty.
        holds: "SELECT NOT EXISTS (SELECT 1 FROM pairs GROUP BY pair HAVING sum(v) < 0)",
    },
    Load {
        name: "smallbank",
        setup: "DROP TABLE IF EXISTS account, saving, checking;
            CREATE TABLE account (name text PRIMARY KEY, custid int NOT NULL);
            CREATE TABLE saving (custid int PRIMARY KEY, bal numeric NOT NULL);
            CREATE TABLE checking (custid int PRIMARY KEY, bal numeric NOT NULL);
            INSERT INTO account SELECT 'customer' || c, c FROM generate_series(1, 1000) c;
            INSERT INTO saving SELECT c, 10000 FROM generate_series(1, 1000) c;
            INSERT INTO checking SELECT c, 10000 FROM generate_series(1, 1000) c;
            ANALYZE account; ANALYZE saving; ANALYZE checking",
        scripts: &[
            // Balance
            Script {
                weight: 1,
                text: "\\set n random_zipfian(1, 1000, 1.1)
BEGIN;
SELECT custid FROM account WHERE name = 'customer' || :n \\gset
SELECT bal FROM saving WHERE custid = :custid;
SELECT bal FROM checking WHERE custid = :custid;
END;
",
            },
            // DepositChecking
            Script {
                weight: 1,
                text: "\\set n random_zipfian(1, 1000, 1.1)
\\set v random(1, 100)
BEGIN;
SELECT custid FROM account WHERE name = 'customer' || :n \\gset
UPDATE checking SET bal = bal + :v WHERE custid = :custid;
END;
",
            },
            // TransactSaving
            Script {
                weight: 1,
                text: "\\set n random_zipfian(1, 1000, 1.1)
\\set v random(1, 100)
BEGIN;
SELECT custid FROM account WHERE name = 'customer' || :n \\gset
SELECT bal FROM saving WHERE custid = :custid;
UPDATE saving SET bal = bal + :v WHERE custid = :custid;
END;
",
            },
            // Amalgamate
            Script {
                weight: 1,
                text: "\\set n random_zipfian(1, 1000, 1.1)
\\set m 1 + (:n + random(0, 998)) % 1000
BEGIN;
SELECT custid AS one FROM account WHERE name = 'customer' || :n \\gset
SELECT custid AS two FROM account WHERE name = 'customer' || :m \\gset
SELECT bal AS sbal FROM saving WHERE custid = :one \\gset
SELECT bal AS cbal FROM checking WHERE custid = :one \\gset
UPDATE saving SET bal = 0 WHERE custid = :one;
UPDATE checking SET bal = 0 WHERE custid = :one;
UPDATE checking SET bal = bal + :sbal::numeric + :cbal::numeric WHERE custid = :two;
END;
",
            },
            // WriteCheck
            Script {
                weight: 1,
                text: "\\set n random_zipfian(1, 1000, 1.1)
\\set v random(1, 100)
BEGIN;
SELECT custid FROM account WHERE name = 'customer' || :n \\gset
SELECT bal AS sbal FROM saving WHERE custid = :custid \\gset
SELECT bal AS cbal FROM checking WHERE custid = :custid \\gset
UPDATE checking SET bal = bal - :v - CASE WHEN :sbal::numeric + :cbal::numeric < :v THEN 1 ELSE 0 END WHERE custid = :custid;
END;
",
            },
        ],
        holds: "SELECT count(*) = 1000 FROM saving JOIN checking USING (custid)",
    },
    Load {
        name: "sibench",
        setup: "DROP TABLE IF EXISTS sibench;
            CREATE TABLE sibench (id int PRIMARY KEY, v int NOT NULL);
            INSERT INTO sibench SELECT i, i FROM generate_series(1, 100) i;
            ANALYZE sibench",
        scripts: &[
            Script { weight: 1, text: "BEGIN;\nSELECT id FROM sibench ORDER BY v, id LIMIT 1;\nEND;\n" },
            Script {
                weight: 1,
                text: "\\set id random(1, 100)
BEGIN;
UPDATE sibench SET v = v + 1 WHERE id = :id;
END;
",
            },
        ],
        holds: "SELECT count(*) = 100 FROM sibench",
    },
    Load {
        name: "tpcc",
        setup: "DROP TABLE IF EXISTS warehouse, district, customer, stock, orders, new_order, order_line;
            CREATE TABLE warehouse (w int PRIMARY KEY, ytd bigint NOT NULL);
            CREATE TABLE district (w int, d int, next int NOT NULL, ytd bigint NOT NULL, PRIMARY KEY (w, d));
            CREATE TABLE customer (w int, d int, c int, balance bigint NOT NULL, PRIMARY KEY (w, d, c));
            CREATE TABLE stock (w int, i int, quantity int NOT NULL, PRIMARY KEY (w, i));
            CREATE TABLE orders (w int, d int, o int, c int NOT NULL, carrier int, PRIMARY KEY (w, d, o));
            CREATE INDEX orders_customer ON orders (w, d, c, o);
            CREATE TABLE new_order (w int, d int, o int, PRIMARY KEY (w, d, o));
            CREATE TABLE order_line (w int, d int, o int, n int, i int NOT NULL, amount int NOT NULL,
                PRIMARY KEY (w, d, o, n));
            INSERT INTO warehouse SELECT w, 0 FROM generate_series(1, 2) w;
            INSERT INTO district SELECT w, d, 1, 0 FROM generate_series(1, 2) w, generate_series(1, 10) d;
            INSERT INTO customer SELECT w, d, c, 0
                FROM generate_series(1, 2) w, generate_series(1, 10) d, generate_series(1, 100) c;
            INSERT INTO stock SELECT w, i, 100 FROM generate_series(1, 2) w, generate_series(1, 1000) i;
            ANALYZE",
        scripts: &[
            // New-Order
            Script {
                weight: 45,
                text: "\\set w random(1, 2)
\\set d random(1, 10)
\\set c random(1, 100)
\\set i random(1, 330)
\\set j random(331, 660)
\\set k random(661, 1000)
BEGIN;
SELECT ytd FROM warehouse WHERE w = :w;
UPDATE district SET next = next + 1 WHERE w = :w AND d = :d RETURNING next - 1 AS o \\gset
INSERT INTO orders VALUES (:w, :d, :o, :c, NULL);
INSERT INTO new_order VALUES (:w, :d, :o);
UPDATE stock SET quantity = quantity - 1 + CASE WHEN quantity < 10 THEN 91 ELSE 0 END WHERE w = :w AND i = :i;
UPDATE stock SET quantity = quantity - 1 + CASE WHEN quantity < 10 THEN 91 ELSE 0 END WHERE w = :w AND i = :j;
UPDATE stock SET quantity = quantity - 1 + CASE WHEN quantity < 10 THEN 91 ELSE 0 END WHERE w = :w AND i = :k;
INSERT INTO order_line VALUES (:w, :d, :o, 1, :i, 10), (:w, :d, :o, 2, :j, 20), (:w, :d, :o, 3, :k, 30);
END;
",
            },
            // Payment
            Script {
                weight: 43,
                text: "\\set w random(1, 2)
\\set d random(1, 10)
\\set c random(1, 100)
\\set h random(1, 5000)
BEGIN;
UPDATE warehouse SET ytd = ytd + :h WHERE w = :w;
UPDATE district SET ytd = ytd + :h WHERE w = :w AND d = :d;
UPDATE customer SET balance = balance - :h WHERE w = :w AND d = :d AND c = :c;
END;
",
            },
            // Order-Status
            Script {
                weight: 4,
                text: "\\set w random(1, 2)
\\set d random(1, 10)
\\set c random(1, 100)
BEGIN;
SELECT balance FROM customer WHERE w = :w AND d = :d AND c = :c;
SELECT coalesce(max(o), 0) AS o FROM orders WHERE w = :w AND d = :d AND c = :c \\gset
SELECT i, amount FROM order_line WHERE w = :w AND d = :d AND o = :o;
END;
",
            },
            // Delivery, of one district
            Script {
                weight: 4,
                text: "\\set w random(1, 2)
\\set d random(1, 10)
BEGIN;
SELECT coalesce(min(o), 0) AS o FROM new_order WHERE w = :w AND d = :d \\gset
DELETE FROM new_order WHERE w = :w AND d = :d AND o = :o;
UPDATE orders SET carrier = 1 WHERE w = :w AND d = :d AND o = :o;
SELECT coalesce(sum(amount), 0) AS amount FROM order_line WHERE w = :w AND d = :d AND o = :o \\gset
SELECT coalesce(max(c), 0) AS c FROM orders WHERE w = :w AND d = :d AND o = :o \\gset
UPDATE customer SET balance = balance + :amount WHERE w = :w AND d = :d AND c = :c;
END;
",
            },
            // Stock-Level
            Script {
                weight: 4,
                text: "\\set w random(1, 2)
\\set d random(1, 10)
BEGIN;
SELECT next FROM district WHERE w = :w AND d = :d \\gset
SELECT count(DISTINCT s.i) FROM order_line l JOIN stock s ON s.w = l.w AND s.i = l.i
    WHERE l.w = :w AND l.d = :d AND l.o >= :next - 20 AND l.o < :next AND s.quantity < 30;
END;
",
            },
        ],
        holds: "SELECT NOT EXISTS (SELECT 1 FROM district d WHERE next - 1 <>
            (SELECT count(*) FROM orders o WHERE o.w = d.w AND o.d = d.d))
            AND (SELECT sum(ytd) FROM warehouse) = (SELECT sum(ytd) FROM district)",
    },
    Load {
        name: "random",
        setup: "DROP TABLE IF EXISTS random_rows;
            CREATE TABLE random_rows (id int PRIMARY KEY, v int NOT NULL);
            INSERT INTO random_rows SELECT i, 0 FROM generate_series(1, 310) i;
            ANALYZE random_rows",
        scripts: &[Script {
            weight: 1,
            text: "\\set a random(1, 300)
\\set b random(1, 300)
\\set c random(1, 300)
\\set d random(1, 300)
BEGIN;
SELECT v FROM random_rows WHERE id = :a;
SELECT v FROM random_rows WHERE id = :b;
SELECT sum(v) FROM random_rows WHERE id BETWEEN :c AND :c + 4;
UPDATE random_rows SET v = v + 1 WHERE id = :d;
END;
",
        }],
        holds: "SELECT count(*) = 310 FROM random_rows",
    },
    Load {
        name: "free",
        setup: FREE_SETUP,
        scripts: &[Script {
            weight: 1,
            text: "\\set a :client_id * 1000 + random(1, 1000)
\\set b :client_id * 1000 + random(1, 1000)
BEGIN;
SELECT v FROM free_rows WHERE id = :a;
SELECT v FROM free_rows WHERE id = :b;
UPDATE free_rows SET v = v + 1 WHERE id = :a;
END;
",
        }],
        holds: "SELECT count(*) = 64000 FROM free_rows",
    },
    Load {
        name: "free-reads",
        setup: FREE_SETUP,
        scripts: &[Script {
            weight: 1,
            text: "\\set a random(1, 64000)
\\set b random(1, 64000)
BEGIN;
SELECT v FROM free_rows WHERE id = :a;
SELECT v FROM free_rows WHERE id = :b;
END;
",
        }],
        holds: "SELECT count(*) = 64000 FROM free_rows",
    },
];

const FREE_SETUP: &str = "DROP TABLE IF EXISTS free_rows;
    CREATE TABLE free_rows (id int PRIMARY KEY, v int NOT NULL);
    INSERT INTO free_rows SELECT i, 0 FROM generate_series(1, 64000) i;
    ANALYZE free_rows";
