//! One PostgreSQL server with a data directory, a socket directory, a port and a log of its own.

use crate::db::Db;
use crate::folder::{copy_template, fresh_directory, give_to_server_user, keep, new_folder};
use crate::installation::{server_program, test_server_settings};
use crate::processes::{processes_in, signal};
use crate::wait::eventually;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a start, a stop or a crash recovery may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A quarter of the key that each test server seals its secrets with.
const KEY: &str = "0123456789abcdef";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Waits for the clients to leave.
    Smart,
    /// Ends the clients' sessions.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

/// A running server. Dropping it stops it and removes its folder.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    postmaster: Option<Child>,
    /// Variables that the postmaster gets beside those of the test.
    environment: Vec<(String, String)>,
}

impl Cluster {
    /// A server with pg_sluice preloaded.
    pub fn start() -> Cluster {
        Cluster::with(&[])
    }

    /// A server with pg_sluice preloaded and further settings; a later one replaces an earlier one.
    pub fn with(settings: &[(&str, &str)]) -> Cluster {
        let folder = new_folder();
        copy_template(&folder.join("data"));
        let mut cluster = Cluster::of_folder(folder);
        for (name, value) in settings {
            cluster.configure(name, value);
        }
        cluster.start_again();
        cluster
    }

    /// A server with pg_sluice preloaded whose environment has further variables.
    pub fn with_environment(variables: &[(&str, String)]) -> Cluster {
        let mut cluster = Cluster::with(&[]);
        cluster.environment = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        cluster.restart();
        cluster
    }

    /// A stopped server with the data directory that lies in this folder, and a key.
    pub(crate) fn of_folder(folder: PathBuf) -> Cluster {
        write_key(&folder);
        let cluster = Cluster {
            folder,
            port: free_port(),
            postmaster: None,
            environment: Vec::new(),
        };
        cluster.configure_base();
        cluster
    }

    /// Stops this server and has pg_upgrade make a new one of it, which is not started yet; what pg_upgrade printed where it
    /// failed. The new one has this one's key.
    pub fn upgraded(&mut self) -> Result<Cluster, String> {
        self.stop(Stop::Fast);
        let folder = new_folder();
        fresh_directory(&folder.join("data"));
        let new = Cluster::of_folder(folder);
        let bin = crate::installation::bin();
        let mut upgrade = server_program("pg_upgrade");
        upgrade.arg("-b").arg(bin).arg("-B").arg(bin).args(["-U", "postgres"]);
        upgrade.arg("-d").arg(self.data()).arg("-D").arg(new.data());
        upgrade.args(["-p", &self.port.to_string(), "-P", &new.port.to_string()]);
        upgrade.arg("-s").arg(&new.folder).current_dir(&new.folder);
        let output = upgrade.output().expect("pg_upgrade is part of PostgreSQL");
        match output.status.success() {
            true => Ok(new),
            false => Err(format!(
                "{}\n{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                details_of(&new.data().join("pg_upgrade_output.d"))
            )),
        }
    }

    /// A server that does not know pg_sluice.
    pub fn plain() -> Cluster {
        Cluster::with(&[("shared_preload_libraries", "")])
    }

    /// One server with pg_sluice for all scenarios that neither stop it nor change it: each takes a database of its own.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    /// A superuser's session in a new database.
    pub fn new_database(&self) -> Db {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("d{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.db().exec(&format!("CREATE DATABASE {name}"));
        self.db_as("postgres", &name)
    }

    /// Starts a stopped server and waits until it accepts connections, crash recovery included.
    pub fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "the server is running");
        for _ in 0..3 {
            self.spawn();
            if self.ready() {
                return;
            }
            // Another process took the port between choosing and binding it.
            assert!(
                self.log().contains("could not bind"),
                "the server does not start:\n{}",
                self.log_tail(40)
            );
            self.port = free_port();
            self.configure("port", &self.port.to_string());
        }
        panic!("the server does not start:\n{}", self.log_tail(40));
    }

    /// Stops the server and waits until each of its processes is gone. Returns whether it ended in time.
    pub fn stop(&mut self, how: Stop) {
        let name = match how {
            Stop::Smart => "TERM",
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        signal(self.postmaster_pid(), name);
        self.await_end(how);
    }

    /// Stops in the mode `fast` and starts again.
    pub fn restart(&mut self) {
        self.stop(Stop::Fast);
        self.start_again();
    }

    /// Kills the postmaster with SIGKILL, as a crash of the machine would, and waits for the last of its children.
    pub fn crash(&mut self) {
        signal(self.postmaster_pid(), "KILL");
        self.await_end("a crash");
    }

    /// The same; how long the last of these processes went on, and how long the last of the others.
    pub fn crash_beside(&mut self, these: &[u32]) -> (Duration, Duration) {
        let since = Instant::now();
        signal(self.postmaster_pid(), "KILL");
        let (mut last_of_these, mut last_of_others) = (Duration::ZERO, Duration::ZERO);
        eventually(LIMIT, || {
            let looked = since.elapsed();
            let left = processes_in(&self.data());
            for pid in &left {
                match these.contains(pid) {
                    true => last_of_these = looked,
                    false => last_of_others = looked,
                }
            }
            left.is_empty()
        });
        self.await_end("a crash");
        (last_of_these, last_of_others)
    }

    /// Waits until the server accepts connections again, after one of its processes was killed.
    pub fn wait_for_recovery(&self) {
        let ready = eventually(LIMIT, || self.try_connect().is_some());
        assert!(ready, "no recovery in {LIMIT:?}:\n{}", self.log_tail(40));
    }

    /// A superuser's session in the database `postgres`.
    pub fn db(&self) -> Db {
        self.db_as("postgres", "postgres")
    }

    /// A session of a role in a database, over the socket.
    pub fn db_as(&self, role: &str, database: &str) -> Db {
        Db::connect(&self.folder, self.port, role, database)
            .unwrap_or_else(|error| panic!("{role} to {database}: {error}\n{}", self.log_tail(40)))
    }

    /// Appends a setting to postgresql.conf; it holds from the next start or reload.
    pub fn configure(&self, name: &str, value: &str) {
        let path = self.data().join("postgresql.conf");
        let line = format!("{name} = '{}'\n", value.replace('\'', "''"));
        let old = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::fs::write(&path, old + &line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The TCP port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the socket, the log, the key and the data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// A program of the installation that connects to this server, such as `pg_dump`, as the server's user.
    pub fn client_program(&self, name: &str) -> std::process::Command {
        let mut command = server_program(name);
        command
            .env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres");
        command.current_dir("/tmp");
        command
    }

    /// The process id of the postmaster.
    pub fn postmaster_pid(&self) -> u32 {
        self.postmaster.as_ref().expect("the server is running").id()
    }

    fn configure_base(&self) {
        for (name, value) in test_server_settings() {
            self.configure(&name, &value);
        }
        self.configure("port", &self.port.to_string());
        self.configure("unix_socket_directories", &self.folder.to_string_lossy());
        self.configure("sluice.key_file", &self.folder.join("pg_sluice.key").to_string_lossy());
    }

    fn spawn(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("our own folder");
        let mut postgres = server_program("postgres");
        // Another TMPDIR or HOME of the caller may be out of the server's reach.
        postgres
            .arg("-D")
            .arg(self.data())
            .env("HOME", "/tmp")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/tmp");
        postgres
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone().expect("an open file"))
            .stderr(log);
        self.postmaster = Some(postgres.spawn().expect("postgres can be run"));
    }

    /// Waits for the first connection; false where the server ended instead.
    fn ready(&mut self) -> bool {
        let mut ended = false;
        let ready = eventually(LIMIT, || {
            ended = self
                .postmaster
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
            ended || self.try_connect().is_some()
        });
        if ended {
            self.postmaster = None;
        }
        assert!(ready, "not ready in {LIMIT:?}:\n{}", self.log_tail(40));
        !ended
    }

    fn try_connect(&self) -> Option<Db> {
        Db::connect(&self.folder, self.port, "postgres", "postgres").ok()
    }

    fn await_end(&mut self, how: impl std::fmt::Debug) {
        let mut child = self.postmaster.take().expect("the server is running");
        let gone = eventually(LIMIT, || {
            matches!(child.try_wait(), Ok(Some(_))) && processes_in(&self.data()).is_empty()
        });
        if !gone {
            let left = processes_in(&self.data());
            for pid in &left {
                signal(*pid, "KILL");
            }
            panic!("{how:?}: not over in {LIMIT:?}, left {left:?}:\n{}", self.log_tail(40));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.postmaster.take() {
            signal(child.id(), "QUIT");
            let _ = child.wait();
        }
        if keep() {
            eprintln!("kept {}", self.folder.display());
        } else {
            eventually(LIMIT, || processes_in(&self.data()).is_empty());
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// What lies in a folder of logs.
fn details_of(folder: &Path) -> String {
    let output = std::process::Command::new("grep")
        .args(["-rhiE", "error|fatal|could not|detail"])
        .arg(folder)
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// A TCP port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// The key file that seals secrets, as `sluice.key_file` wants it.
fn write_key(folder: &Path) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join("pg_sluice.key");
    let mut file: File = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .expect("our own folder");
    file.write_all(KEY.repeat(4).as_bytes()).expect("our own file");
    give_to_server_user(&path);
}
