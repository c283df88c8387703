//! Running pgbench and reading what it reports.

use crate::target::Target;
use std::process::Command;

#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub transactions: f64,
    pub tps: f64,
    /// CPU seconds of the server per 1,000 transactions.
    pub cpu: f64,
    /// How often a transaction was tried again, per transaction.
    pub retries: f64,
}

fn succeed(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(stdout.into_owned()),
        false => Err(format!("{:?} failed: {stdout}{stderr}", command.get_program())),
    }
}

pub fn initialize(target: &Target, scale: u32) -> Result<(), String> {
    succeed(target.client("pgbench").args(["-i", "-q", "-s", &scale.to_string()])).map(|_| ())
}

/// Runs pgbench with these arguments (`-n` and `-T` added).
pub fn run(target: &Target, seconds: u32, arguments: &[&str]) -> Result<Run, String> {
    run_with(target, seconds, arguments, &[])
}

/// With variables of its own, too.
pub fn run_with(
    target: &Target,
    seconds: u32,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Run, String> {
    let before = target.cpu_seconds();
    let mut command = target.client("pgbench");
    command.envs(environment.iter().copied());
    let report = succeed(command.args(["-n", "-T", &seconds.to_string()]).args(arguments))?;
    let spent = target.cpu_seconds() - before;
    let number = |prefix: &str| {
        let line = report.lines().find_map(|line| line.strip_prefix(prefix));
        line.and_then(|rest| rest.split_whitespace().next()?.split('/').next()?.parse::<f64>().ok())
            .ok_or_else(|| format!("pgbench did not report \"{prefix}\": {report}"))
    };
    let failed = number("number of failed transactions: ").unwrap_or(0.0);
    if failed > 0.0 {
        return Err(format!("pgbench reports {failed} failed transactions: {report}"));
    }
    let transactions = number("number of transactions actually processed: ")?;
    let retries = number("total number of retries: ").unwrap_or(0.0);
    Ok(Run {
        transactions,
        tps: number("tps = ")?,
        cpu: spent / transactions * 1000.0,
        retries: retries / transactions,
    })
}

/// psql with a script.
pub fn psql(target: &Target, script: &str) -> Result<String, String> {
    succeed(target.client("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", script]))
}
