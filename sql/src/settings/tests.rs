use super::*;

fn set(settings: &mut Settings, name: &str, value: &str) -> Result<()> {
    settings.set(name, Some(value), Source::Session, false)
}

fn error(name: &str, value: &str) -> String {
    let error = set(&mut Settings::new(), name, value).expect_err(name);
    format!("{} {}", error.state().as_str(), error.message())
}

#[test]
fn table_is_sorted_and_its_defaults_are_valid() {
    assert!(table::SETTINGS.windows(2).all(|pair| compare_lower(pair[0].name, pair[1].name).is_lt()));
    for definition in table::SETTINGS {
        if definition.default.is_empty() || definition.default == "-1" {
            continue;
        }
        let parsed = typed::canonical(definition, definition.default);
        assert_eq!(parsed.expect(definition.name), definition.default, "{}", definition.name);
    }
}

#[test]
fn values_are_read_and_shown_with_units() {
    let mut settings = Settings::new();
    for (name, value, shown) in [
        ("work_mem", "4096", "4MB"),
        ("work_mem", "1GB", "1GB"),
        ("work_mem", "0.5MB", "512kB"),
        ("work_mem", " 65 kB ", "65kB"),
        ("work_mem", "1.5GB", "1536MB"),
        ("effective_cache_size", "131072", "1GB"),
        ("statement_timeout", "90s", "90s"),
        ("statement_timeout", "1d", "1d"),
        ("statement_timeout", "1500", "1500ms"),
        ("statement_timeout", "0", "0"),
        ("enable_seqscan", "F", "off"),
        ("ENABLE_SEQSCAN", "1", "on"),
        ("synchronous_commit", "false", "off"),
        ("random_page_cost", "1.10", "1.1"),
        ("vacuum_cost_delay", "500us", "500us"),
        ("datestyle", "german", "German, DMY"),
        ("datestyle", "Postgres, MDY", "Postgres, MDY"),
        ("datestyle", "sql,european", "SQL, DMY"),
        ("client_encoding", "utf-8", "UTF8"),
        ("timezone", "europe/berlin", "Europe/Berlin"),
        ("timezone", "-7", "<-07>+07"),
        ("timezone", "INTERVAL '-08:00'", "<-08>+08"),
        ("concurrency_mode", "2PL", "2pl"),
        ("my.custom", "x", "x"),
    ] {
        set(&mut settings, name, value).unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
        assert_eq!(settings.show(name).expect(name), shown, "{name} = {value}");
    }
    assert_eq!(settings.typed().concurrency_mode, serin_txn::Mode::TwoPhase);
    assert_eq!(settings.typed().render.time_zone.name, "<-08>+08");
    assert_eq!(settings.show("server_version_num").expect("known"), "150018");
}

#[test]
fn errors_are_postgresqls() {
    for (name, value, expected) in [
        ("nonsense", "1", "42704 unrecognized configuration parameter \"nonsense\""),
        ("work_mem", "x", "22023 invalid value for parameter \"work_mem\": \"x\""),
        ("work_mem", "1 parsec", "22023 invalid value for parameter \"work_mem\": \"1 parsec\""),
        (
            "work_mem",
            "63",
            "22023 63 kB is outside the valid range for parameter \"work_mem\" (64 kB .. 2147483647 kB)",
        ),
        ("enable_sort", "maybe", "22023 parameter \"enable_sort\" requires a Boolean value"),
        ("bytea_output", "x", "22023 invalid value for parameter \"bytea_output\": \"x\""),
        ("datestyle", "x", "22023 invalid value for parameter \"DateStyle\": \"x\""),
        ("timezone", "Nowhere/City", "22023 invalid value for parameter \"TimeZone\": \"Nowhere/City\""),
        ("server_version", "17", "55P02 parameter \"server_version\" cannot be changed"),
        (
            "max_connections",
            "1",
            "55P02 parameter \"max_connections\" cannot be changed without restarting the server",
        ),
        ("a.1", "1", "42602 invalid configuration parameter name \"a.1\""),
    ] {
        assert_eq!(error(name, value), expected);
    }
    assert!(Settings::new().show("my.unset").is_err());
}

#[test]
fn changes_follow_the_transaction() {
    let mut settings = Settings::new();
    let show = |settings: &Settings| settings.show("work_mem").expect("known");
    settings.set("work_mem", Some("1MB"), Source::Role, false).expect("valid");
    settings.set("work_mem", Some("2MB"), Source::Client, false).expect("valid");
    settings.set("work_mem", Some("8MB"), Source::Server, false).expect("valid");
    assert_eq!(show(&settings), "2MB");

    settings.begin_transaction();
    set(&mut settings, "work_mem", "3MB").expect("valid");
    let savepoint = settings.savepoint();
    settings.set("work_mem", Some("4MB"), Source::Session, true).expect("valid");
    assert_eq!(show(&settings), "4MB");
    settings.rollback_to(savepoint);
    assert_eq!(show(&settings), "3MB");
    settings.set("work_mem", Some("5MB"), Source::Session, true).expect("valid");
    settings.end_transaction(true);
    assert_eq!(show(&settings), "3MB");

    settings.begin_transaction();
    settings.set("work_mem", None, Source::Session, true).expect("valid");
    assert_eq!(show(&settings), "2MB");
    set(&mut settings, "work_mem", "6MB").expect("valid");
    assert_eq!(show(&settings), "6MB");
    settings.end_transaction(false);
    assert_eq!(show(&settings), "3MB");

    settings.reset_all();
    assert_eq!(show(&settings), "2MB");
}

#[test]
fn reports_tell_what_changed() {
    let mut settings = Settings::new();
    let first = settings.take_changed_reports();
    assert_eq!(first.len(), settings.reports().len());
    assert!(settings.take_changed_reports().is_empty());
    set(&mut settings, "application_name", "psql").expect("valid");
    set(&mut settings, "work_mem", "8MB").expect("valid");
    assert_eq!(settings.take_changed_reports(), [("application_name", "psql".to_owned())]);
}

#[test]
fn lists_are_joined_and_split() {
    let values = ["$user".to_owned(), "My Schema".to_owned(), "public".to_owned()];
    let flat = flatten("search_path", &values).expect("a list");
    assert_eq!(flat, "\"$user\", \"My Schema\", public");
    assert_eq!(split_identifiers(&flat).expect("valid"), values);
    assert_eq!(split_identifiers("A , b").expect("valid"), ["a", "b"]);
    assert_eq!(split_identifiers("a,,b"), None);
    assert!(flatten("work_mem", &values).is_err());
}
