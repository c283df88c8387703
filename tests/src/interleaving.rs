//! Interleavings of transactions as scripts: a file says who does what in which order and how to tell whether the anomaly it is
//! about came about; the runner plays it against a server in any mode and at any level.
//!
//! ```text
//! anomaly  G2-item                        its name, and a title
//! title    Write skew on two rows
//! setup    CREATE TABLE t (…); …          runs alone, in a schema of its own
//! s1 r1    SELECT …                       session, step, statement: in the order in which they are sent
//! s2 r2    SELECT …
//! s1 c1    COMMIT
//! occurs   committed s1 s2                what must hold, all of it, for the anomaly to have happened
//! occurs   r2 = 1|10 2|20                 the step's rows: columns joined by |, rows by a blank
//! occurs   final SELECT sum(v) FROM t = 0     asked after the end
//! never                                   at no level: a constraint is in the way
//! ```
//!
//! A transaction begins with the first step of its session. A line that starts with blanks continues the one before; `#` starts a
//! comment.
//!
//! # Determinism
//!
//! One step is sent at a time, to the first session in the script that is free to take it. The runner then waits until every
//! session that runs a statement has either finished it or is blocked by another, as the *server* says
//! (`pg_isolation_test_session_is_blocked`); while the others stand still, blocked is a stable state. Time plays no part. A
//! session whose statement failed takes no further part: its transaction is rolled back.

use postgres::{Client, SimpleQueryMessage};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// A script that is not through by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const WAITS_FOR: &str = "SELECT pg_blocking_pids($1) || pg_safe_snapshot_blocking_pids($1)";

#[derive(Debug)]
pub struct Script {
    pub anomaly: String,
    pub title: String,
    setup: String,
    steps: Vec<Step>,
    occurs: Vec<Condition>,
    /// A constraint's, which no level lifts: the anomaly must not be possible anywhere.
    pub never: bool,
}

#[derive(Clone, Debug)]
struct Step {
    session: String,
    name: String,
    statement: String,
}

#[derive(Debug)]
enum Condition {
    Committed(Vec<String>),
    Rows { step: String, rows: String },
    Final { query: String, rows: String },
}

/// How a script ended.
#[derive(Debug)]
pub struct Played {
    /// The anomaly came about.
    pub occurred: bool,
    /// SQLSTATEs of statements that failed, by session.
    pub errors: BTreeMap<String, String>,
    /// For reports: what happened, a line a step.
    pub log: Vec<String>,
}

impl Script {
    pub fn read(path: &Path) -> Script {
        let text = std::fs::read_to_string(path).expect("the script can be read");
        Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn parse(text: &str) -> Result<Script, String> {
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            match (line.starts_with(' '), lines.last_mut()) {
                (true, Some(last)) => *last = format!("{last} {}", line.trim_start()),
                _ => lines.push(line.to_owned()),
            }
        }
        let mut script = Script {
            anomaly: String::new(),
            title: String::new(),
            setup: String::new(),
            steps: Vec::new(),
            occurs: Vec::new(),
            never: false,
        };
        for line in &lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            match word {
                "anomaly" => script.anomaly = rest.to_owned(),
                "title" => script.title = rest.to_owned(),
                "setup" => script.setup = format!("{} {rest}", script.setup),
                "never" => script.never = true,
                "occurs" => script.occurs.push(Condition::parse(rest)?),
                session => {
                    let (name, statement) =
                        rest.split_once(' ').ok_or_else(|| format!("a step without a statement: {line}"))?;
                    let (session, name) = (session.to_owned(), name.to_owned());
                    script.steps.push(Step { session, name, statement: statement.trim().to_owned() });
                }
            }
        }
        if script.anomaly.is_empty() || script.steps.is_empty() || script.occurs.is_empty() {
            return Err("a script has a name, steps and conditions".to_owned());
        }
        Ok(script)
    }

    fn sessions(&self) -> Vec<String> {
        let mut names: Vec<String> = self.steps.iter().map(|step| step.session.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Plays the script in sessions that `connect` makes. `control` sets up, watches and judges: it must be of a kind that waits
    /// for nobody.
    pub fn play(&self, mut control: Client, connect: &dyn Fn() -> Client) -> Played {
        control
            .batch_execute("DROP SCHEMA IF EXISTS interleaving CASCADE; CREATE SCHEMA interleaving")
            .expect("a schema of its own");
        control.batch_execute("SET search_path = interleaving").expect("a setting");
        control.batch_execute(&self.setup).unwrap_or_else(|error| panic!("{}: {error}", self.anomaly));
        let players: BTreeMap<String, Player> =
            self.sessions().into_iter().map(|name| (name, Player::new(connect()))).collect();
        let mut stage = Stage { control, players, results: BTreeMap::new(), log: Vec::new() };
        stage.run(&self.steps);
        let errors: BTreeMap<String, String> = stage
            .players
            .iter()
            .filter_map(|(name, player)| Some((name.clone(), player.failed.clone()?)))
            .collect();
        let occurred = self.occurs.iter().all(|condition| match condition {
            Condition::Committed(sessions) => sessions.iter().all(|session| !errors.contains_key(session)),
            Condition::Rows { step, rows } => stage.results.get(step).is_some_and(|found| found == rows),
            Condition::Final { query, rows } => {
                rows_of(&mut stage.control, query).expect("the judge's query runs") == *rows
            }
        });
        Played { occurred, errors, log: stage.log }
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Condition, String> {
        if let Some(sessions) = text.strip_prefix("committed ") {
            return Ok(Condition::Committed(sessions.split_whitespace().map(str::to_owned).collect()));
        }
        let (left, rows) = text.rsplit_once(" =").ok_or_else(|| format!("a condition without =: {text}"))?;
        let rows = rows.trim().to_owned();
        Ok(match left.trim().strip_prefix("final ") {
            Some(query) => Condition::Final { query: query.to_owned(), rows },
            None => Condition::Rows { step: left.trim().to_owned(), rows },
        })
    }
}

type Outcome = Result<String, String>;

/// A session on a thread of its own.
struct Player {
    pid: i32,
    send: Sender<String>,
    receive: Receiver<Outcome>,
    begun: bool,
    /// The step under way.
    running: Option<String>,
    failed: Option<String>,
}

impl Player {
    fn new(mut client: Client) -> Player {
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).expect("a pid").get(0);
        client.batch_execute("SET search_path = interleaving").expect("a setting");
        let (send, statements) = channel::<String>();
        let (answers, receive) = channel();
        std::thread::spawn(move || {
            for statement in statements {
                let outcome = rows_of(&mut client, &statement);
                if answers.send(outcome).is_err() {
                    return;
                }
            }
        });
        Player { pid, send, receive, begun: false, running: None, failed: None }
    }
}

struct Stage {
    control: Client,
    players: BTreeMap<String, Player>,
    results: BTreeMap<String, String>,
    log: Vec<String>,
}

impl Stage {
    fn run(&mut self, steps: &[Step]) {
        let mut pending: VecDeque<Step> = steps.iter().cloned().collect();
        loop {
            pending.retain(|step| self.players[&step.session].failed.is_none());
            let free = pending.iter().position(|step| self.players[&step.session].running.is_none());
            let Some(step) = free.and_then(|at| pending.remove(at)) else {
                let running = self.players.values().any(|player| player.running.is_some());
                assert!(!running && pending.is_empty(), "everyone is blocked:\n{}", self.log.join("\n"));
                return;
            };
            self.start(&step);
            self.settle();
        }
    }

    fn start(&mut self, step: &Step) {
        let player = self.players.get_mut(&step.session).expect("every session has a player");
        if !std::mem::replace(&mut player.begun, true) {
            player.send.send("BEGIN".to_owned()).expect("the player listens");
            player.receive.recv().expect("an answer").expect("BEGIN does not fail");
        }
        player.running = Some(step.name.clone());
        player.send.send(step.statement.clone()).expect("the player listens");
    }

    /// Until everyone who runs a statement has finished it or is blocked.
    fn settle(&mut self) {
        let started = Instant::now();
        let names: Vec<String> = self.players.keys().cloned().collect();
        for name in names {
            loop {
                assert!(started.elapsed() < PATIENCE, "a step hangs:\n{}", self.log.join("\n"));
                let player = self.players.get_mut(&name).expect("every session has a player");
                if player.running.is_none() {
                    break;
                }
                match player.receive.try_recv() {
                    Ok(outcome) => {
                        self.finish(&name, outcome);
                        // What it held may be what others waited for: look at them all again.
                        return self.settle();
                    }
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => panic!("session {name} is gone"),
                }
                let pid = player.pid;
                if self.is_blocked(pid) {
                    break;
                }
            }
        }
    }

    /// Waits for another player, and not in a circle: of those who do, one is about to be the victim of the deadlock.
    fn is_blocked(&mut self, pid: i32) -> bool {
        let mut waits_for = BTreeMap::new();
        for player in self.players.values() {
            let blockers = self.control.query_one(WAITS_FOR, &[&player.pid]).expect("the server knows");
            waits_for.insert(player.pid, blockers.get::<_, Vec<i32>>(0));
        }
        let mut reached: Vec<i32> =
            waits_for[&pid].iter().copied().filter(|pid| waits_for.contains_key(pid)).collect();
        let is_blocked = !reached.is_empty();
        let mut looked_at = 0;
        while let Some(next) = reached.get(looked_at) {
            if *next == pid {
                return false;
            }
            looked_at += 1;
            for further in &waits_for[next] {
                if waits_for.contains_key(further) && !reached.contains(further) {
                    reached.push(*further);
                }
            }
        }
        is_blocked
    }

    fn finish(&mut self, name: &str, outcome: Outcome) {
        let player = self.players.get_mut(name).expect("every session has a player");
        let step = player.running.take().expect("it ran a step");
        self.log.push(format!("{name} {step}: {outcome:?}"));
        match outcome {
            Ok(rows) => {
                self.results.insert(step, rows);
            }
            Err(state) => {
                player.failed = Some(state);
                player.send.send("ROLLBACK".to_owned()).expect("the player listens");
                // After a failed COMMIT there is nothing to roll back, and the warning is no error.
                player.receive.recv().expect("an answer").expect("ROLLBACK does not fail");
            }
        }
    }
}

/// A statement's rows as text, or its SQLSTATE.
fn rows_of(client: &mut Client, statement: &str) -> Outcome {
    match client.simple_query(statement) {
        Ok(messages) => {
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let columns: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("null")).collect();
                    Some(columns.join("|"))
                }
                _ => None,
            });
            Ok(rows.collect::<Vec<_>>().join(" "))
        }
        Err(error) => Err(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
    }
}
