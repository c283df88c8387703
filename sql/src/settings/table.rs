//! The table of settings: PostgreSQL's (names, units, ranges, defaults and texts of its guc.c), less those about what Serin
//! doesn't have, and Serin's own. Many only exist so that clients can set them; each that has an effect is in
//! [`super::Typed`] or read by name where it acts.

use super::definition::Context::*;
use super::definition::Kind::*;
use super::definition::{Definition, HIDDEN, LIST, NO_RESET, REPORT, Unit};

macro_rules! settings {
    ($($name:literal, $kind:expr, $default:literal, $context:ident, $flags:expr, $category:literal, $description:literal;)*) => {
        /// Sorted by name in lower case.
        pub const SETTINGS: &[Definition] = &[$(Definition {
            name: $name,
            kind: $kind,
            default: $default,
            context: $context,
            flags: $flags,
            category: $category,
            description: $description,
        },)*];
    };
}

settings! {
    "allow_system_table_mods", Bool, "off", Superuser, 0, "Developer Options",
        "Allows modifications of the structure of system tables.";
    "application_name", Text, "", User, REPORT, "Reporting and Logging / What to Log",
        "Sets the application name to be reported in statistics and logs.";
    "array_nulls", Bool, "on", User, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Enable input of NULL elements in arrays.";
    "authentication_timeout", Integer { min: 1, max: 600, unit: Unit::Second }, "60", Sighup, 0, "Connections and Authentication / Authentication",
        "Sets the maximum allowed time to complete client authentication.";
    "autovacuum", Bool, "on", Sighup, 0, "Autovacuum",
        "Starts the autovacuum subprocess.";
    "autovacuum_max_workers", Integer { min: 1, max: 262143, unit: Unit::None }, "3", Postmaster, 0, "Autovacuum",
        "Sets the maximum number of simultaneously running autovacuum worker processes.";
    "autovacuum_naptime", Integer { min: 1, max: 2147483, unit: Unit::Second }, "60", Sighup, 0, "Autovacuum",
        "Time to sleep between autovacuum runs.";
    "autovacuum_vacuum_scale_factor", Real { min: 0.0, max: 100.0, unit: Unit::None }, "0.2", Sighup, 0, "Autovacuum",
        "Number of tuple updates or deletes prior to vacuum as a fraction of reltuples.";
    "backslash_quote", Enum(&["safe_encoding", "on", "off"]), "safe_encoding", User, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Sets whether \"\\'\" is allowed in string literals.";
    "block_size", Integer { min: 8192, max: 8192, unit: Unit::None }, "8192", Internal, 0, "Preset Options",
        "Shows the size of a disk block.";
    "bytea_output", Enum(&["escape", "hex"]), "hex", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the output format for bytea.";
    "check_function_bodies", Bool, "on", User, 0, "Client Connection Defaults / Statement Behavior",
        "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.";
    "checkpoint_completion_target", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0.9", Sighup, 0, "Write-Ahead Log / Checkpoints",
        "Time spent flushing dirty buffers during checkpoint, as fraction of checkpoint interval.";
    "checkpoint_timeout", Integer { min: 30, max: 86400, unit: Unit::Second }, "300", Sighup, 0, "Write-Ahead Log / Checkpoints",
        "Sets the maximum time between automatic WAL checkpoints.";
    "checkpoint_warning", Integer { min: 0, max: 2147483647, unit: Unit::Second }, "30", Sighup, 0, "Write-Ahead Log / Checkpoints",
        "Sets the maximum time before warning if checkpoints triggered by WAL volume happen too frequently.";
    "client_connection_check_interval", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Connections and Authentication / Connection Settings",
        "Sets the time interval between checks for disconnection while running queries.";
    "client_encoding", Text, "UTF8", User, REPORT, "Client Connection Defaults / Locale and Formatting",
        "Sets the client's character set encoding.";
    "client_min_messages", Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]), "notice", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the message levels that are sent to the client.";
    "commit_delay", Integer { min: 0, max: 100000, unit: Unit::None }, "0", Superuser, 0, "Write-Ahead Log / Settings",
        "Sets the delay in microseconds between transaction commit and flushing WAL to disk.";
    "commit_siblings", Integer { min: 0, max: 1000, unit: Unit::None }, "5", User, 0, "Write-Ahead Log / Settings",
        "Sets the minimum number of concurrent open transactions required before performing commit_delay.";
    "compute_query_id", Enum(&["auto", "regress", "on", "off"]), "auto", Superuser, 0, "Statistics / Monitoring",
        "Enables in-core computation of query identifiers.";
    "concurrency_mode", Enum(&["ssi", "2pl", "serial"]), "ssi", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the protocol that makes serializable transactions serializable.";
    "constraint_exclusion", Enum(&["partition", "on", "off"]), "partition", User, 0, "Query Tuning / Other Planner Options",
        "Enables the planner to use constraints to optimize queries.";
    "cpu_index_tuple_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "0.005", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of processing each index entry during an index scan.";
    "cpu_operator_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "0.0025", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of processing each operator or function call.";
    "cpu_tuple_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "0.01", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of processing each tuple (row).";
    "createrole_self_grant", Text, "", User, LIST, "Client Connection Defaults / Statement Behavior",
        "Sets whether a CREATEROLE user automatically grants the role to themselves, and with which options.";
    "cursor_tuple_fraction", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0.1", User, 0, "Query Tuning / Other Planner Options",
        "Sets the planner's estimate of the fraction of a cursor's rows that will be retrieved.";
    "data_checksums", Bool, "on", Internal, 0, "Preset Options",
        "Shows whether data checksums are turned on for this cluster.";
    "data_directory", Text, "", Postmaster, 0, "File Locations",
        "Sets the server's data directory.";
    "data_directory_mode", Integer { min: 0, max: 511, unit: Unit::None }, "448", Internal, 0, "Preset Options",
        "Shows the mode of the data directory.";
    "DateStyle", Text, "ISO, MDY", User, REPORT|LIST, "Client Connection Defaults / Locale and Formatting",
        "Sets the display format for date and time values.";
    "deadlock_timeout", Integer { min: 1, max: 2147483647, unit: Unit::Millisecond }, "1000", Superuser, 0, "Lock Management",
        "Sets the time to wait on a lock before checking for deadlock.";
    "debug_assertions", Bool, "off", Internal, 0, "Preset Options",
        "Shows whether the running server has assertion checks enabled.";
    "debug_parallel_query", Enum(&["off", "on", "regress"]), "off", User, 0, "Developer Options",
        "Forces the planner's use parallel query nodes.";
    "debug_pretty_print", Bool, "on", User, 0, "Reporting and Logging / What to Log",
        "Indents parse and plan tree displays.";
    "debug_print_parse", Bool, "off", User, 0, "Reporting and Logging / What to Log",
        "Logs each query's parse tree.";
    "debug_print_plan", Bool, "off", User, 0, "Reporting and Logging / What to Log",
        "Logs each query's execution plan.";
    "debug_print_rewritten", Bool, "off", User, 0, "Reporting and Logging / What to Log",
        "Logs each query's rewritten parse tree.";
    "default_statistics_target", Integer { min: 1, max: 10000, unit: Unit::None }, "100", User, 0, "Query Tuning / Other Planner Options",
        "Sets the default statistics target.";
    "default_table_access_method", Text, "heap", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the default table access method for new tables.";
    "default_tablespace", Text, "", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the default tablespace to create tables and indexes in.";
    "default_text_search_config", Text, "pg_catalog.english", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets default text search configuration.";
    "default_toast_compression", Enum(&["pglz", "lz4"]), "pglz", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the default compression method for compressible values.";
    "default_transaction_deferrable", Bool, "off", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the default deferrable status of new transactions.";
    "default_transaction_isolation", Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]), "read committed", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the transaction isolation level of each new transaction.";
    "default_transaction_read_only", Bool, "off", User, REPORT, "Client Connection Defaults / Statement Behavior",
        "Sets the default read-only status of new transactions.";
    "dynamic_library_path", Text, "$libdir", Superuser, 0, "Client Connection Defaults / Other Defaults",
        "Sets the path for dynamically loadable modules.";
    "effective_cache_size", Integer { min: 1, max: 2147483647, unit: Unit::Page }, "524288", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's assumption about the total size of the data caches.";
    "effective_io_concurrency", Integer { min: 0, max: 1000, unit: Unit::None }, "1", User, 0, "Resource Usage / Asynchronous Behavior",
        "Number of simultaneous requests that can be handled efficiently by the disk subsystem.";
    "enable_async_append", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of async append plans.";
    "enable_bitmapscan", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of bitmap-scan plans.";
    "enable_gathermerge", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of gather merge plans.";
    "enable_hashagg", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of hashed aggregation plans.";
    "enable_hashjoin", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of hash join plans.";
    "enable_incremental_sort", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of incremental sort steps.";
    "enable_indexonlyscan", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of index-only-scan plans.";
    "enable_indexscan", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of index-scan plans.";
    "enable_material", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of materialization.";
    "enable_memoize", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of memoization.";
    "enable_mergejoin", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of merge join plans.";
    "enable_nestloop", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of nested-loop join plans.";
    "enable_parallel_append", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of parallel append plans.";
    "enable_parallel_hash", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of parallel hash plans.";
    "enable_partition_pruning", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables plan-time and execution-time partition pruning.";
    "enable_partitionwise_aggregate", Bool, "off", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables partitionwise aggregation and grouping.";
    "enable_partitionwise_join", Bool, "off", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables partitionwise join.";
    "enable_presorted_aggregate", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's ability to produce plans that provide presorted input for ORDER BY / DISTINCT aggregate functions.";
    "enable_seqscan", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of sequential-scan plans.";
    "enable_sort", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of explicit sort steps.";
    "enable_tidscan", Bool, "on", User, 0, "Query Tuning / Planner Method Configuration",
        "Enables the planner's use of TID scan plans.";
    "escape_string_warning", Bool, "on", User, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Warn about backslash escapes in ordinary string literals.";
    "extra_float_digits", Integer { min: -15, max: 3, unit: Unit::None }, "1", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets the number of digits displayed for floating-point values.";
    "from_collapse_limit", Integer { min: 1, max: 2147483647, unit: Unit::None }, "8", User, 0, "Query Tuning / Other Planner Options",
        "Sets the FROM-list size beyond which subqueries are not collapsed.";
    "fsync", Bool, "on", Sighup, 0, "Write-Ahead Log / Settings",
        "Forces synchronization of updates to disk.";
    "full_page_writes", Bool, "on", Sighup, 0, "Write-Ahead Log / Settings",
        "Writes full pages to WAL when first modified after a checkpoint.";
    "geqo", Bool, "on", User, 0, "Query Tuning / Genetic Query Optimizer",
        "Enables genetic query optimization.";
    "geqo_effort", Integer { min: 1, max: 10, unit: Unit::None }, "5", User, 0, "Query Tuning / Genetic Query Optimizer",
        "GEQO: effort is used to set the default for other GEQO parameters.";
    "geqo_generations", Integer { min: 0, max: 2147483647, unit: Unit::None }, "0", User, 0, "Query Tuning / Genetic Query Optimizer",
        "GEQO: number of iterations of the algorithm.";
    "geqo_pool_size", Integer { min: 0, max: 2147483647, unit: Unit::None }, "0", User, 0, "Query Tuning / Genetic Query Optimizer",
        "GEQO: number of individuals in the population.";
    "geqo_seed", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0", User, 0, "Query Tuning / Genetic Query Optimizer",
        "GEQO: seed for random path selection.";
    "geqo_selection_bias", Real { min: 1.5, max: 2.0, unit: Unit::None }, "2", User, 0, "Query Tuning / Genetic Query Optimizer",
        "GEQO: selective pressure within the population.";
    "geqo_threshold", Integer { min: 2, max: 2147483647, unit: Unit::None }, "12", User, 0, "Query Tuning / Genetic Query Optimizer",
        "Sets the threshold of FROM items beyond which GEQO is used.";
    "gin_fuzzy_search_limit", Integer { min: 0, max: 2147483647, unit: Unit::None }, "0", User, 0, "Client Connection Defaults / Other Defaults",
        "Sets the maximum allowed result for exact search by GIN.";
    "gin_pending_list_limit", Integer { min: 64, max: 2147483647, unit: Unit::KiB }, "4096", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum size of the pending list for GIN index.";
    "hash_mem_multiplier", Real { min: 1.0, max: 1000.0, unit: Unit::None }, "2", User, 0, "Resource Usage / Memory",
        "Multiple of work_mem to use for hash tables.";
    "idle_in_transaction_session_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum allowed idle time between queries, when in a transaction.";
    "idle_session_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum allowed idle time between queries, when not in a transaction.";
    "ignore_checksum_failure", Bool, "off", Superuser, 0, "Developer Options",
        "Continues processing after a checksum failure.";
    "ignore_system_indexes", Bool, "off", Backend, 0, "Developer Options",
        "Disables reading from system indexes.";
    "in_hot_standby", Bool, "off", Internal, REPORT, "Preset Options",
        "Shows whether hot standby is currently active.";
    "integer_datetimes", Bool, "on", Internal, REPORT, "Preset Options",
        "Shows whether datetimes are integer based.";
    "IntervalStyle", Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), "postgres", User, REPORT, "Client Connection Defaults / Locale and Formatting",
        "Sets the display format for interval values.";
    "is_superuser", Bool, "on", Internal, REPORT|HIDDEN, "Preset Options",
        "Shows whether the current user is a superuser.";
    "jit", Bool, "off", User, 0, "Query Tuning / Other Planner Options",
        "Allow JIT compilation.";
    "jit_above_cost", Real { min: -1.0, max: f64::MAX, unit: Unit::None }, "100000", User, 0, "Query Tuning / Planner Cost Constants",
        "Perform JIT compilation if query is more expensive.";
    "join_collapse_limit", Integer { min: 1, max: 2147483647, unit: Unit::None }, "8", User, 0, "Query Tuning / Other Planner Options",
        "Sets the FROM-list size beyond which JOIN constructs are not flattened.";
    "lc_collate", Text, "C", Internal, 0, "Preset Options",
        "Shows the collation order locale.";
    "lc_ctype", Text, "C.UTF-8", Internal, 0, "Preset Options",
        "Shows the character classification and case conversion locale.";
    "lc_messages", Text, "C", Superuser, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets the language in which messages are displayed.";
    "lc_monetary", Text, "C", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets the locale for formatting monetary amounts.";
    "lc_numeric", Text, "C", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets the locale for formatting numbers.";
    "lc_time", Text, "C", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Sets the locale for formatting date and time values.";
    "listen_addresses", Text, "127.0.0.1", Postmaster, LIST, "Connections and Authentication / Connection Settings",
        "Sets the host name or IP address(es) to listen to.";
    "lo_compat_privileges", Bool, "off", Superuser, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Enables backward compatibility mode for privilege checks on large objects.";
    "local_preload_libraries", Text, "", User, LIST, "Client Connection Defaults / Shared Library Preloading",
        "Lists unprivileged shared libraries to preload into each backend.";
    "lock_escalation_rows", Integer { min: 1, max: 2147483647, unit: Unit::None }, "16384", User, 0, "Lock Management",
        "Sets how many rows of a table a transaction in two-phase locking locks one by one before it locks the table's key range.";
    "lock_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum allowed duration of any wait for a lock.";
    "log_checkpoints", Bool, "on", Sighup, 0, "Reporting and Logging / What to Log",
        "Logs each checkpoint.";
    "log_connections", Bool, "off", Backend, 0, "Reporting and Logging / What to Log",
        "Logs each successful connection.";
    "log_disconnections", Bool, "off", Backend, 0, "Reporting and Logging / What to Log",
        "Logs end of a session, including duration.";
    "log_duration", Bool, "off", Superuser, 0, "Reporting and Logging / What to Log",
        "Logs the duration of each completed SQL statement.";
    "log_error_verbosity", Enum(&["terse", "default", "verbose"]), "default", Superuser, 0, "Reporting and Logging / What to Log",
        "Sets the verbosity of logged messages.";
    "log_executor_stats", Bool, "off", Superuser, 0, "Statistics / Monitoring",
        "Writes executor performance statistics to the server log.";
    "log_line_prefix", Text, "", Sighup, 0, "Reporting and Logging / What to Log",
        "Controls information prefixed to each log line.";
    "log_lock_waits", Bool, "off", Superuser, 0, "Reporting and Logging / What to Log",
        "Logs long lock waits.";
    "log_min_duration_sample", Integer { min: -1, max: 2147483647, unit: Unit::Millisecond }, "-1", Superuser, 0, "Reporting and Logging / When to Log",
        "Sets the minimum execution time above which a sample of statements will be logged. Sampling is determined by log_statement_sample_rate.";
    "log_min_duration_statement", Integer { min: -1, max: 2147483647, unit: Unit::Millisecond }, "-1", Superuser, 0, "Reporting and Logging / When to Log",
        "Sets the minimum execution time above which all statements will be logged.";
    "log_min_error_statement", Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error", "log", "fatal", "panic"]), "error", Superuser, 0, "Reporting and Logging / When to Log",
        "Causes all statements generating error at or above this level to be logged.";
    "log_min_messages", Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error", "log", "fatal", "panic"]), "warning", Superuser, 0, "Reporting and Logging / When to Log",
        "Sets the message levels that are logged.";
    "log_parser_stats", Bool, "off", Superuser, 0, "Statistics / Monitoring",
        "Writes parser performance statistics to the server log.";
    "log_planner_stats", Bool, "off", Superuser, 0, "Statistics / Monitoring",
        "Writes planner performance statistics to the server log.";
    "log_statement", Enum(&["none", "ddl", "mod", "all"]), "none", Superuser, 0, "Reporting and Logging / What to Log",
        "Sets the type of statements logged.";
    "log_statement_sample_rate", Real { min: 0.0, max: 1.0, unit: Unit::None }, "1", Superuser, 0, "Reporting and Logging / When to Log",
        "Fraction of statements exceeding log_min_duration_sample to be logged.";
    "log_statement_stats", Bool, "off", Superuser, 0, "Statistics / Monitoring",
        "Writes cumulative performance statistics to the server log.";
    "log_temp_files", Integer { min: -1, max: 2147483647, unit: Unit::KiB }, "-1", Superuser, 0, "Reporting and Logging / What to Log",
        "Log the use of temporary files larger than this number of kilobytes.";
    "log_timezone", Text, "UTC", Sighup, 0, "Reporting and Logging / What to Log",
        "Sets the time zone to use in log messages.";
    "log_transaction_sample_rate", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0", Superuser, 0, "Reporting and Logging / When to Log",
        "Sets the fraction of transactions from which to log all statements.";
    "logical_decoding_work_mem", Integer { min: 64, max: 2147483647, unit: Unit::KiB }, "65536", User, 0, "Resource Usage / Memory",
        "Sets the maximum memory to be used for logical decoding.";
    "maintenance_io_concurrency", Integer { min: 0, max: 1000, unit: Unit::None }, "10", User, 0, "Resource Usage / Asynchronous Behavior",
        "A variant of effective_io_concurrency that is used for maintenance work.";
    "maintenance_work_mem", Integer { min: 1024, max: 2147483647, unit: Unit::KiB }, "65536", User, 0, "Resource Usage / Memory",
        "Sets the maximum memory to be used for maintenance operations.";
    "max_connections", Integer { min: 1, max: 262143, unit: Unit::None }, "100", Postmaster, 0, "Connections and Authentication / Connection Settings",
        "Sets the maximum number of concurrent connections.";
    "max_function_args", Integer { min: 100, max: 100, unit: Unit::None }, "100", Internal, 0, "Preset Options",
        "Shows the maximum number of function arguments.";
    "max_identifier_length", Integer { min: 63, max: 63, unit: Unit::None }, "63", Internal, 0, "Preset Options",
        "Shows the maximum identifier length.";
    "max_index_keys", Integer { min: 32, max: 32, unit: Unit::None }, "32", Internal, 0, "Preset Options",
        "Shows the maximum number of index keys.";
    "max_locks_per_transaction", Integer { min: 10, max: 2147483647, unit: Unit::None }, "64", Postmaster, 0, "Lock Management",
        "Sets the maximum number of locks per transaction.";
    "max_parallel_maintenance_workers", Integer { min: 0, max: 1024, unit: Unit::None }, "2", User, 0, "Resource Usage / Asynchronous Behavior",
        "Sets the maximum number of parallel processes per maintenance operation.";
    "max_parallel_workers", Integer { min: 0, max: 1024, unit: Unit::None }, "8", User, 0, "Resource Usage / Asynchronous Behavior",
        "Sets the maximum number of parallel workers that can be active at one time.";
    "max_parallel_workers_per_gather", Integer { min: 0, max: 1024, unit: Unit::None }, "2", User, 0, "Resource Usage / Asynchronous Behavior",
        "Sets the maximum number of parallel processes per executor node.";
    "max_pred_locks_per_page", Integer { min: 0, max: 2147483647, unit: Unit::None }, "2", Sighup, 0, "Lock Management",
        "Sets the maximum number of predicate-locked tuples per page.";
    "max_pred_locks_per_relation", Integer { min: -2147483648, max: 2147483647, unit: Unit::None }, "-2", Sighup, 0, "Lock Management",
        "Sets the maximum number of predicate-locked pages and tuples per relation.";
    "max_pred_locks_per_transaction", Integer { min: 10, max: 2147483647, unit: Unit::None }, "64", Postmaster, 0, "Lock Management",
        "Sets the maximum number of predicate locks per transaction.";
    "max_prepared_transactions", Integer { min: 0, max: 262143, unit: Unit::None }, "64", Postmaster, 0, "Resource Usage / Memory",
        "Sets the maximum number of simultaneously prepared transactions.";
    "max_replication_slots", Integer { min: 0, max: 262143, unit: Unit::None }, "0", Postmaster, 0, "Replication / Sending Servers",
        "Sets the maximum number of simultaneously defined replication slots.";
    "max_stack_depth", Integer { min: 100, max: 7680, unit: Unit::KiB }, "2048", Superuser, 0, "Resource Usage / Memory",
        "Sets the maximum stack depth, in kilobytes.";
    "max_wal_senders", Integer { min: 0, max: 262143, unit: Unit::None }, "0", Postmaster, 0, "Replication / Sending Servers",
        "Sets the maximum number of simultaneously running WAL sender processes.";
    "max_wal_size", Integer { min: 2, max: 2147483647, unit: Unit::MiB }, "1024", Sighup, 0, "Write-Ahead Log / Checkpoints",
        "Sets the WAL size that triggers a checkpoint.";
    "max_worker_processes", Integer { min: 0, max: 262143, unit: Unit::None }, "8", Postmaster, 0, "Resource Usage / Asynchronous Behavior",
        "Maximum number of concurrent worker processes.";
    "min_parallel_index_scan_size", Integer { min: 0, max: 715827882, unit: Unit::Page }, "64", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the minimum amount of index data for a parallel scan.";
    "min_parallel_table_scan_size", Integer { min: 0, max: 715827882, unit: Unit::Page }, "1024", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the minimum amount of table data for a parallel scan.";
    "parallel_leader_participation", Bool, "on", User, 0, "Resource Usage / Asynchronous Behavior",
        "Controls whether Gather and Gather Merge also run subplans.";
    "parallel_setup_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "1000", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of starting up worker processes for parallel query.";
    "parallel_tuple_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "0.1", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of passing each tuple (row) from worker to leader backend.";
    "password_encryption", Enum(&["md5", "scram-sha-256"]), "scram-sha-256", User, 0, "Connections and Authentication / Authentication",
        "Chooses the algorithm for encrypting passwords.";
    "pg_trgm.similarity_threshold", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0.3", User, HIDDEN, "Customized Options",
        "Sets the threshold used by the % operator.";
    "pg_trgm.strict_word_similarity_threshold", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0.5", User, HIDDEN, "Customized Options",
        "Sets the threshold used by the <<% operator.";
    "pg_trgm.word_similarity_threshold", Real { min: 0.0, max: 1.0, unit: Unit::None }, "0.6", User, HIDDEN, "Customized Options",
        "Sets the threshold used by the <% operator.";
    "plan_cache_mode", Enum(&["auto", "force_generic_plan", "force_custom_plan"]), "auto", User, 0, "Query Tuning / Other Planner Options",
        "Controls the planner's selection of custom or generic plan.";
    "port", Integer { min: 1, max: 65535, unit: Unit::None }, "5432", Postmaster, 0, "Connections and Authentication / Connection Settings",
        "Sets the TCP port the server listens on.";
    "quote_all_identifiers", Bool, "off", User, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "When generating SQL fragments, quote all identifiers.";
    "random_page_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "4", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of a nonsequentially fetched disk page.";
    "recursive_worktable_factor", Real { min: 0.001, max: 1000000.0, unit: Unit::None }, "10", User, 0, "Query Tuning / Other Planner Options",
        "Sets the planner's estimate of the average size of a recursive query's working table.";
    "reserved_connections", Integer { min: 0, max: 262143, unit: Unit::None }, "0", Postmaster, 0, "Connections and Authentication / Connection Settings",
        "Sets the number of connection slots reserved for roles with privileges of pg_use_reserved_connections.";
    "restrict_nonsystem_relation_kind", Text, "", User, LIST, "Client Connection Defaults / Statement Behavior",
        "Prohibits access to non-system relations of specified kinds.";
    "role", Text, "none", User, HIDDEN, "Ungrouped",
        "Sets the current role.";
    "row_security", Bool, "on", User, 0, "Client Connection Defaults / Statement Behavior",
        "Enable row security.";
    "scram_iterations", Integer { min: 1, max: 2147483647, unit: Unit::None }, "4096", User, REPORT, "Connections and Authentication / Authentication",
        "Sets the iteration count for SCRAM secret generation.";
    "search_path", Text, "\"$user\", public", User, LIST, "Client Connection Defaults / Statement Behavior",
        "Sets the schema search order for names that are not schema-qualified.";
    "seed", Real { min: -1.0, max: 1.0, unit: Unit::None }, "0", User, HIDDEN, "Ungrouped",
        "Sets the seed for random-number generation.";
    "segment_size", Integer { min: 131072, max: 131072, unit: Unit::Page }, "131072", Internal, 0, "Preset Options",
        "Shows the number of pages per disk file.";
    "seq_page_cost", Real { min: 0.0, max: f64::MAX, unit: Unit::None }, "1", User, 0, "Query Tuning / Planner Cost Constants",
        "Sets the planner's estimate of the cost of a sequentially fetched disk page.";
    "serial_idle_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "10000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Ends a session that idles while it holds the serial executor token for longer than this.";
    "server_encoding", Text, "UTF8", Internal, REPORT, "Preset Options",
        "Shows the server (database) character set encoding.";
    "server_version", Text, "15.18 (Serin 0.1.0)", Internal, REPORT, "Preset Options",
        "Shows the server version.";
    "server_version_num", Integer { min: 150018, max: 150018, unit: Unit::None }, "150018", Internal, 0, "Preset Options",
        "Shows the server version as an integer.";
    "session_authorization", Text, "", User, REPORT|HIDDEN, "Ungrouped",
        "Sets the session user name.";
    "session_preload_libraries", Text, "", Superuser, LIST, "Client Connection Defaults / Shared Library Preloading",
        "Lists shared libraries to preload into each backend.";
    "session_replication_role", Enum(&["origin", "replica", "local"]), "origin", Superuser, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the session's behavior for triggers and rewrite rules.";
    "shared_buffers", Integer { min: 16, max: 1073741823, unit: Unit::Page }, "16384", Postmaster, 0, "Resource Usage / Memory",
        "Sets the number of shared memory buffers used by the server.";
    "shared_preload_libraries", Text, "", Postmaster, LIST, "Client Connection Defaults / Shared Library Preloading",
        "Lists shared libraries to preload into server.";
    "ssl", Bool, "off", Sighup, 0, "Connections and Authentication / SSL",
        "Enables SSL connections.";
    "ssl_library", Text, "", Internal, 0, "Preset Options",
        "Shows the name of the SSL library.";
    "standard_conforming_strings", Bool, "on", User, REPORT, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Causes '...' strings to treat backslashes literally.";
    "statement_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum allowed duration of any statement.";
    "stats_fetch_consistency", Enum(&["none", "cache", "snapshot"]), "cache", User, 0, "Statistics / Cumulative Query and Index Statistics",
        "Sets the consistency of accesses to statistics data.";
    "synchronize_seqscans", Bool, "on", User, 0, "Version and Platform Compatibility / Previous PostgreSQL Versions",
        "Enable synchronized sequential scans.";
    "synchronous_commit", Enum(&["local", "remote_write", "remote_apply", "on", "off"]), "on", User, 0, "Write-Ahead Log / Settings",
        "Sets the current transaction's synchronization level.";
    "tcp_keepalives_count", Integer { min: 0, max: 2147483647, unit: Unit::None }, "0", User, 0, "Connections and Authentication / Connection Settings",
        "Maximum number of TCP keepalive retransmits.";
    "tcp_keepalives_idle", Integer { min: 0, max: 2147483647, unit: Unit::Second }, "0", User, 0, "Connections and Authentication / Connection Settings",
        "Time between issuing TCP keepalives.";
    "tcp_keepalives_interval", Integer { min: 0, max: 2147483647, unit: Unit::Second }, "0", User, 0, "Connections and Authentication / Connection Settings",
        "Time between TCP keepalive retransmits.";
    "tcp_user_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Connections and Authentication / Connection Settings",
        "TCP user timeout.";
    "temp_buffers", Integer { min: 100, max: 1073741823, unit: Unit::Page }, "1024", User, 0, "Resource Usage / Memory",
        "Sets the maximum number of temporary buffers used by each session.";
    "temp_file_limit", Integer { min: -1, max: 2147483647, unit: Unit::KiB }, "-1", Superuser, 0, "Resource Usage / Disk",
        "Limits the total size of all temporary files used by each process.";
    "temp_tablespaces", Text, "", User, LIST, "Client Connection Defaults / Statement Behavior",
        "Sets the tablespace(s) to use for temporary tables and sort files.";
    "TimeZone", Text, "UTC", User, REPORT, "Client Connection Defaults / Locale and Formatting",
        "Sets the time zone for displaying and interpreting time stamps.";
    "timezone_abbreviations", Text, "Default", User, 0, "Client Connection Defaults / Locale and Formatting",
        "Selects a file of time zone abbreviations.";
    "trace_notify", Bool, "off", User, 0, "Developer Options",
        "Generates debugging output for LISTEN and NOTIFY.";
    "trace_sort", Bool, "off", User, 0, "Developer Options",
        "Emit information about resource usage in sorting.";
    "track_activities", Bool, "on", Superuser, 0, "Statistics / Cumulative Query and Index Statistics",
        "Collects information about executing commands.";
    "track_activity_query_size", Integer { min: 100, max: 1048576, unit: Unit::Byte }, "1024", Postmaster, 0, "Statistics / Cumulative Query and Index Statistics",
        "Sets the size reserved for pg_stat_activity.query, in bytes.";
    "track_commit_timestamp", Bool, "off", Postmaster, 0, "Replication / Sending Servers",
        "Collects transaction commit time.";
    "track_counts", Bool, "on", Superuser, 0, "Statistics / Cumulative Query and Index Statistics",
        "Collects statistics on database activity.";
    "track_functions", Enum(&["none", "pl", "all"]), "none", Superuser, 0, "Statistics / Cumulative Query and Index Statistics",
        "Collects function-level statistics on database activity.";
    "track_io_timing", Bool, "off", Superuser, 0, "Statistics / Cumulative Query and Index Statistics",
        "Collects timing statistics for database I/O activity.";
    "transaction_deferrable", Bool, "off", User, NO_RESET, "Client Connection Defaults / Statement Behavior",
        "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.";
    "transaction_isolation", Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]), "read committed", User, NO_RESET, "Client Connection Defaults / Statement Behavior",
        "Sets the current transaction's isolation level.";
    "transaction_read_only", Bool, "off", User, NO_RESET, "Client Connection Defaults / Statement Behavior",
        "Sets the current transaction's read-only status.";
    "transaction_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "0", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets the maximum allowed duration of any transaction within a session (not a prepared transaction).";
    "transform_null_equals", Bool, "off", User, 0, "Version and Platform Compatibility / Other Platforms and Clients",
        "Treats \"expr=NULL\" as \"expr IS NULL\".";
    "vacuum_buffer_usage_limit", Integer { min: 0, max: 16777216, unit: Unit::KiB }, "256", User, 0, "Resource Usage / Memory",
        "Sets the buffer pool size for VACUUM, ANALYZE, and autovacuum.";
    "vacuum_cost_delay", Real { min: 0.0, max: 100.0, unit: Unit::Millisecond }, "0", User, 0, "Resource Usage / Cost-Based Vacuum Delay",
        "Vacuum cost delay in milliseconds.";
    "vacuum_cost_limit", Integer { min: 1, max: 10000, unit: Unit::None }, "200", User, 0, "Resource Usage / Cost-Based Vacuum Delay",
        "Vacuum cost amount available before napping.";
    "vacuum_cost_page_dirty", Integer { min: 0, max: 10000, unit: Unit::None }, "20", User, 0, "Resource Usage / Cost-Based Vacuum Delay",
        "Vacuum cost for a page dirtied by vacuum.";
    "vacuum_cost_page_hit", Integer { min: 0, max: 10000, unit: Unit::None }, "1", User, 0, "Resource Usage / Cost-Based Vacuum Delay",
        "Vacuum cost for a page found in the buffer cache.";
    "vacuum_cost_page_miss", Integer { min: 0, max: 10000, unit: Unit::None }, "2", User, 0, "Resource Usage / Cost-Based Vacuum Delay",
        "Vacuum cost for a page not found in the buffer cache.";
    "vacuum_failsafe_age", Integer { min: 0, max: 2100000000, unit: Unit::None }, "1600000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Age at which VACUUM should trigger failsafe to avoid a wraparound outage.";
    "vacuum_freeze_min_age", Integer { min: 0, max: 1000000000, unit: Unit::None }, "50000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Minimum age at which VACUUM should freeze a table row.";
    "vacuum_freeze_table_age", Integer { min: 0, max: 2000000000, unit: Unit::None }, "150000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Age at which VACUUM should scan whole table to freeze tuples.";
    "vacuum_multixact_failsafe_age", Integer { min: 0, max: 2100000000, unit: Unit::None }, "1600000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Multixact age at which VACUUM should trigger failsafe to avoid a wraparound outage.";
    "vacuum_multixact_freeze_min_age", Integer { min: 0, max: 1000000000, unit: Unit::None }, "5000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Minimum age at which VACUUM should freeze a MultiXactId in a table row.";
    "vacuum_multixact_freeze_table_age", Integer { min: 0, max: 2000000000, unit: Unit::None }, "150000000", User, 0, "Client Connection Defaults / Statement Behavior",
        "Multixact age at which VACUUM should scan whole table to freeze tuples.";
    "wal_block_size", Integer { min: 8192, max: 8192, unit: Unit::None }, "8192", Internal, 0, "Preset Options",
        "Shows the block size in the write ahead log.";
    "wal_compression", Enum(&["pglz", "lz4", "zstd", "on", "off"]), "off", Superuser, 0, "Write-Ahead Log / Settings",
        "Compresses full-page writes written in WAL file with specified method.";
    "wal_level", Enum(&["minimal", "replica", "logical"]), "minimal", Postmaster, 0, "Write-Ahead Log / Settings",
        "Sets the level of information written to the WAL.";
    "wal_segment_size", Integer { min: 1048576, max: 1073741824, unit: Unit::Byte }, "16777216", Internal, 0, "Preset Options",
        "Shows the size of write ahead log segments.";
    "wal_sender_timeout", Integer { min: 0, max: 2147483647, unit: Unit::Millisecond }, "60000", User, 0, "Replication / Sending Servers",
        "Sets the maximum time to wait for WAL replication.";
    "wal_skip_threshold", Integer { min: 0, max: 2147483647, unit: Unit::KiB }, "2048", User, 0, "Write-Ahead Log / Settings",
        "Minimum size of new file to fsync instead of writing WAL.";
    "wal_sync_method", Enum(&["fsync", "fdatasync", "open_sync", "open_datasync"]), "fdatasync", Sighup, 0, "Write-Ahead Log / Settings",
        "Selects the method used for forcing WAL updates to disk.";
    "work_mem", Integer { min: 64, max: 2147483647, unit: Unit::KiB }, "4096", User, 0, "Resource Usage / Memory",
        "Sets the maximum memory to be used for query workspaces.";
    "xmlbinary", Enum(&["base64", "hex"]), "base64", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets how binary values are to be encoded in XML.";
    "xmloption", Enum(&["content", "document"]), "content", User, 0, "Client Connection Defaults / Statement Behavior",
        "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.";
    "zero_damaged_pages", Bool, "off", Superuser, 0, "Developer Options",
        "Continues processing past damaged page headers.";
}
