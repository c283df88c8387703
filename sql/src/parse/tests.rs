use super::ast::*;
use super::*;

fn error(sql: &str) -> (String, String, Option<usize>) {
    let error = parse(sql).expect_err(sql);
    (error.state().as_str().to_owned(), error.message().to_owned(), error.fields().position)
}

fn expr(sql: &str) -> String {
    show(&parse_expression(sql).unwrap_or_else(|error| panic!("{sql}: {error}")))
}

/// An expression with every operator in parentheses.
fn show(expr: &Expr) -> String {
    let list = |items: &[Expr]| items.iter().map(show).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::Literal(Literal::Number(digits), _) => digits.clone(),
        Expr::Literal(Literal::String(value), _) => quote_literal(value),
        Expr::Literal(literal, _) => format!("{literal:?}"),
        Expr::Column(parts, _) => parts.join("."),
        Expr::Unary { operator, operand, .. } => format!("({operator} {})", show(operand)),
        Expr::Binary { operator, left, right, .. } => {
            format!("({} {operator} {})", show(left), show(right))
        }
        Expr::And(terms) => format!("and({})", list(terms)),
        Expr::Or(terms) => format!("or({})", list(terms)),
        Expr::Not(operand) => format!("not({})", show(operand)),
        Expr::IsNull { operand, negated } => format!("null({}, {negated})", show(operand)),
        Expr::Cast { operand, to, .. } => format!("({})::{}", show(operand), to.name.parts.join(".")),
        Expr::Row(fields, _) => format!("row({})", list(fields)),
        Expr::Between { operand, low, high, .. } => {
            format!("between({}, {}, {})", show(operand), show(low), show(high))
        }
        Expr::InList { operand, list: items, negated, .. } => {
            format!("in({}, {negated}; {})", show(operand), list(items))
        }
        Expr::Function(call) => {
            let arguments: Vec<String> =
                call.arguments.iter().map(|argument| show(&argument.value)).collect();
            format!("{}({})", call.name.parts.join("."), arguments.join(", "))
        }
        Expr::Subquery(..) => "(select)".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn precedence_is_postgresqls() {
    for (sql, expected) in [
        ("-2^2", "(-2 ^ 2)"),
        ("a>-1", "(a > -1)"),
        ("a<>-1", "(a <> -1)"),
        ("a||-1", "(a ||- 1)"),
        ("a @- b", "(a @- b)"),
        ("~ a = b", "((~ a) = b)"),
        ("~ a + b", "(~ (a + b))"),
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a || b + c", "(a || (b + c))"),
        ("not a = b and c", "and(not((a = b)), c)"),
        ("a or b and c or d", "or(a, and(b, c), d)"),
        ("a between 1 and 2 and b", "and(between(a, 1, 2), b)"),
        ("- a::int", "(- (a)::int4)"),
        ("a = b is null", "null((a = b), false)"),
        ("a in (1, (2), (select 1))", "in(a, false; 1, 2, (select))"),
        ("((select 1)) + 1", "((select) + 1)"),
        ("((select 1) + 1) * 2", "(((select) + 1) * 2)"),
        ("((1, 2)) = (3, 4)", "(row(1, 2) = row(3, 4))"),
        ("a != b", "(a <> b)"),
        ("a OPERATOR(other.+) b", "(a other.+ b)"),
        ("a OPERATOR(pg_catalog.+) b * c", "(a + (b * c))"),
        ("0x1F + 1_000 + .5", "((31 + 1000) + .5)"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("'a'\n'b'", "'ab'"),
        ("E'a\\n\\u0041'", "'a\nA'"),
        ("U&'d\\0061t!+000061' UESCAPE '!'", "E'd\\\\0061ta'"),
        ("$x$a'b$x$", "'a''b'"),
        ("trim(both 'x' from a)", "pg_catalog.btrim(a, 'x')"),
        ("position('b' in a)", "pg_catalog.position(a, 'b')"),
        ("a /* x /* y */ */ -- z\n + 1", "(a + 1)"),
    ] {
        assert_eq!(expr(sql), expected, "{sql}");
    }
}

#[test]
fn syntax_errors_are_postgresqls() {
    let at = |message: &str, position| ("42601".to_owned(), message.to_owned(), Some(position));
    for (sql, expected) in [
        ("selec 1", at("syntax error at or near \"selec\"", 1)),
        ("select 1 +", at("syntax error at end of input", 11)),
        ("select 'é', 1 fro", at("x", 0)),
        ("select a from t where", at("syntax error at end of input", 22)),
        ("select 'abc", at("unterminated quoted string at or near \"'abc\"", 8)),
        ("selec 'abc", at("syntax error at or near \"selec\"", 1)),
        ("select \"abc", at("unterminated quoted identifier at or near \"\"abc\"", 8)),
        ("select $a$ x", at("unterminated dollar-quoted string at or near \"$a$ x\"", 8)),
        ("select /* x", at("unterminated /* comment at or near \"/* x\"", 8)),
        ("select 'é' é é", at("syntax error at or near \"é\"", 14)),
        ("select 1 < 2 < 3", at("syntax error at or near \"<\"", 14)),
        ("select 123abc", at("trailing junk after numeric literal at or near \"123abc\"", 8)),
        ("select \"\"", at("zero-length delimited identifier at or near \"\"\"\"", 8)),
        ("select * from t limit 1, 2", at("LIMIT #,# syntax is not supported", 24)),
        ("create table t (a int,)", at("syntax error at or near \")\"", 23)),
        ("insert into t values (1", at("syntax error at end of input", 24)),
    ] {
        if expected.2 == Some(0) {
            assert!(parse(sql).is_ok(), "{sql}: `fro` is an alias");
            continue;
        }
        assert_eq!(error(sql), expected, "{sql}");
    }
}

/// Runs on the stack that a tokio worker has.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(test)
        .expect("a thread starts")
        .join()
        .expect("the test passes");
}

fn is_too_deep(sql: &str) -> bool {
    parse(sql).is_err_and(|error| error.state() == SqlState::STATEMENT_TOO_COMPLEX)
}

#[test]
fn deep_nesting_is_refused() {
    on_small_stack(|| {
        for depth in [300, 100_000] {
            let (open, close) = ("(".repeat(depth), ")".repeat(depth));
            assert!(is_too_deep(&format!("select {open}1{close}")));
            assert!(is_too_deep(&format!("select {}", open)));
            assert!(is_too_deep(&format!("{open}select 1{close}")));
            assert!(is_too_deep(&format!("select * from {open}t{close}")));
            assert!(is_too_deep(&format!("select {}1{}", "(select ".repeat(depth), close)));
            assert!(is_too_deep(&format!("select {}1{}", "f(".repeat(depth), close)));
            assert!(is_too_deep(&format!("select {}a", "not ".repeat(depth))));
            assert!(is_too_deep(&format!("select {}a", "- ".repeat(depth))));
            assert!(is_too_deep(&format!("select {}1", "f() over (order by ".repeat(depth))));
            assert!(is_too_deep(&format!("select {}1", "a in (".repeat(depth))));
            assert!(is_too_deep(&format!(
                "select {}1{}",
                "case when ".repeat(depth),
                " then 1 end".repeat(depth)
            )));
            assert!(is_too_deep(&format!("select array{}{}", "[".repeat(depth), "]".repeat(depth))));
            assert!(is_too_deep(&format!("select 1{}", " + 1".repeat(depth))));
            assert!(is_too_deep(&format!("select a{}", "::int".repeat(depth))));
            assert!(is_too_deep(&format!("select 1{}", " union select 1".repeat(depth))));
            assert!(is_too_deep(&format!("select 1 from t{}", " cross join t".repeat(depth))));
            assert!(is_too_deep(&format!("select 1 from t{}", " join t".repeat(depth))));
            assert!(is_too_deep(&format!("select 1 group by {}a{close}", "grouping sets (".repeat(depth))));
            assert!(is_too_deep(&format!("{}select 1{close}", "with a as (".repeat(depth))));
        }
        // Chains inside chains: the height adds up though neither is too long.
        let chain = " + 1".repeat(200);
        assert!(is_too_deep(&format!("select ((1{chain}){chain})")));
        // Just within bounds.
        let depth = 100;
        let sql = format!("select {}1{}", "(".repeat(depth), ")".repeat(depth));
        parse(&sql).expect("within bounds");
    });
}

#[test]
fn long_flat_lists_work() {
    on_small_stack(|| {
        let ands = vec!["a = 1"; 10_000].join(" and ");
        let [Statement { kind: StatementKind::Query(query), .. }] =
            &parse(&format!("select 1 from t where {ands}")).expect("parses")[..]
        else {
            panic!("one query");
        };
        let SetExpr::Select(select) = &query.body else { panic!("a select") };
        assert!(matches!(&select.filter, Some(Expr::And(terms)) if terms.len() == 10_000));
        parse(&format!("select 1 from t where {}", vec!["a = 1"; 10_000].join(" or "))).expect("parses");
        parse(&format!("select 1 where a in ({})", vec!["1"; 100_000].join(","))).expect("parses");
        parse(&format!("insert into t values {}", vec!["(1, 'x')"; 50_000].join(","))).expect("parses");
    });
}

#[test]
fn statements_have_spans_and_parameters() {
    let sql = " ; select $2 ;\n\tcommit;; insert into é values ('x', $1)  ";
    let statements = parse(sql).expect("parses");
    let found: Vec<(&str, u32)> =
        statements.iter().map(|statement| (&sql[statement.span.clone()], statement.parameters)).collect();
    assert_eq!(found, [("select $2", 2), ("commit", 0), ("insert into é values ('x', $1)", 1)]);
    assert!(parse(" -- nothing\n;").expect("parses").is_empty());
}

#[test]
fn definitions_keep_their_text() {
    let sql = "create table t (a int default 1 + 2 not null, b int check ( b > /* x */ 0 ), check (a<b))";
    let StatementKind::CreateTable(table) = parse(sql).expect("parses").remove(0).kind else {
        panic!("a table");
    };
    let ColumnConstraintKind::Default(_, text) = &table.columns[0].constraints[0].kind else {
        panic!("a default");
    };
    assert_eq!(text, "1 + 2");
    assert_eq!(table.columns[0].constraints.len(), 2);
    let ColumnConstraintKind::Check(_, text, ..) = &table.columns[1].constraints[0].kind else {
        panic!("a check");
    };
    assert_eq!(text, "b > /* x */ 0");
    assert!(matches!(&table.constraints[0].kind, TableConstraintKind::Check { text, .. } if text == "a<b"));
}

#[test]
fn names_are_quoted_where_needed() {
    for (name, quoted) in [
        ("abc", "abc"),
        ("Abc", "\"Abc\""),
        ("select", "\"select\""),
        ("a\"b", "\"a\"\"b\""),
        ("1a", "\"1a\""),
    ] {
        assert_eq!(quote_identifier(name), quoted);
    }
    assert_eq!(parse_name("\"My\".tab").expect("a name"), ["My", "tab"]);
    assert!(parse_name("a.").is_err());
}
