//! Parameters of built-in functions that can be left out or given by name: PostgreSQL's pg_proc.proargnames and
//! proargdefaults, of the functions that have defaults.

/// Names, and the defaults (SQL text) of the last of them.
pub struct Parameters {
    pub names: &'static [&'static str],
    pub defaults: &'static [&'static str],
}

const PATH: Parameters =
    Parameters { names: &["target", "path", "vars", "silent"], defaults: &["'{}'::jsonb", "false"] };
const POPULATE: Parameters =
    Parameters { names: &["base", "from_json", "use_json_as_text"], defaults: &["false"] };

/// Of a function by its name; None: it has neither names nor defaults.
pub fn parameters(name: &str) -> Option<Parameters> {
    Some(match name {
        "make_interval" => Parameters {
            names: &["years", "months", "weeks", "days", "hours", "mins", "secs"],
            defaults: &["0", "0", "0", "0", "0", "0", "0.0"],
        },
        "make_date" => Parameters { names: &["year", "month", "day"], defaults: &[] },
        "make_time" => Parameters { names: &["hour", "min", "sec"], defaults: &[] },
        "make_timestamp" => {
            Parameters { names: &["year", "month", "mday", "hour", "min", "sec"], defaults: &[] }
        }
        "jsonb_set" => Parameters {
            names: &["jsonb_in", "path", "replacement", "create_if_missing"],
            defaults: &["true"],
        },
        "jsonb_set_lax" => Parameters {
            names: &["jsonb_in", "path", "replacement", "create_if_missing", "null_value_treatment"],
            defaults: &["true", "'use_json_null'"],
        },
        "jsonb_insert" => {
            Parameters { names: &["jsonb_in", "path", "replacement", "insert_after"], defaults: &["false"] }
        }
        "jsonb_path_exists"
        | "jsonb_path_match"
        | "jsonb_path_query"
        | "jsonb_path_query_array"
        | "jsonb_path_query_first"
        | "jsonb_path_exists_tz"
        | "jsonb_path_match_tz"
        | "jsonb_path_query_tz"
        | "jsonb_path_query_array_tz"
        | "jsonb_path_query_first_tz" => PATH,
        "json_populate_record" | "json_populate_recordset" => POPULATE,
        _ => return None,
    })
}
