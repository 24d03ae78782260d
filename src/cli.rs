//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The hub in which a citizen's consent travels with her data.
#[derive(Debug, Parser)]
#[command(name = "waybill", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub: on a city's file and overlays, or without a file as a plain hub on loopback
    Run(Run),
    /// Check a configuration and say everything that is wrong with it
    Lint(Lint),
    /// Play the whole story on stand-ins, offline
    Demo(Demo),
    /// List, show, grant, withdraw, import or export consents
    #[command(subcommand)]
    Consent(Consent),
    /// Say whose data an entity is
    #[command(subcommand)]
    Subject(Subject),
    /// Who holds copies, and what they answered
    #[command(subcommand)]
    Holder(Holder),
    /// What came in and was not admitted
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// What could not be delivered
    #[command(subcommand)]
    DeadLetter(DeadLetter),
    /// The hub's signing keys
    #[command(subcommand)]
    Keys(Keys),
    /// The record of decisions and disclosures
    #[command(subcommand)]
    Journal(Journal),
    /// Verify a bundle or a tagged entity: 0 valid, 1 not valid, 2 status unknown, 3 well-formed but unverified
    Verify(Verify),
    /// Expand a JSON-LD document
    Expand(Convert),
    /// Compact an expanded JSON-LD document
    Compact(Convert),
    /// Convert documents of another standard, offline
    #[command(subcommand)]
    Convert(ConvertFrom),
    /// Look at a broker, read-only but for a scratch tenant when asked, and say what it can do
    Doctor(Doctor),
    /// Write a copy of the store to a file, while the hub runs
    Backup(Backup),
    /// Put a copy back; what was withdrawn since stays withdrawn
    Restore(Restore),
    /// Explain a code, a term, or the purposes
    Explain(Explain),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// `run`
#[derive(Debug, Args)]
pub struct Run {
    /// The city's file, then its overlays
    #[arg(value_name = "CITY.toml", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Without a file: where to listen; loopback only
    #[arg(long, default_value = "127.0.0.1:1026", conflicts_with = "files")]
    pub listen: SocketAddr,
    /// Without a file: where to keep data
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["files", "memory"])]
    pub data: Option<PathBuf>,
    /// Without a file: keep nothing
    #[arg(long, conflicts_with = "files")]
    pub memory: bool,
    /// Load @contexts from a folder with an `index.json` of URLs and files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub preload_contexts: Option<PathBuf>,
}

/// `lint`
#[derive(Debug, Args)]
pub struct Lint {
    /// The city's file, then its overlays
    #[arg(required = true, value_name = "CITY.toml", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    pub strict: bool,
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// End with an exit code instead of staying up
    #[arg(long)]
    pub script: bool,
}

/// Which hub to talk to.
#[derive(Debug, Args)]
pub struct Remote {
    /// The running hub
    #[arg(long, env = "WAYBILL_HUB", default_value = "http://127.0.0.1:1026", value_hint = ValueHint::Url)]
    pub hub: String,
    /// The operator's token
    #[arg(long, env = "WAYBILL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The tenant
    #[arg(long, env = "WAYBILL_TENANT")]
    pub tenant: Option<String>,
}

/// What shows that a person said something to a clerk.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// The paper form or the recording: a file, whose hash goes on record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub evidence: Option<PathBuf>,
    /// Where the evidence is kept
    #[arg(long, value_name = "IRI")]
    pub kept_at: Option<String>,
    /// When she said so, if not now
    #[arg(long, value_name = "TIME")]
    pub stated: Option<String>,
}

/// `consent`
#[derive(Debug, Subcommand)]
pub enum Consent {
    /// List consents
    List {
        /// Of this person only
        #[arg(long, value_name = "IRI")]
        subject: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one consent with its history
    Show {
        /// The consent's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Record a grant: a grant document as a citizen writes it, or a whole consent record
    Grant {
        /// The document; `-` reads standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The consent it changes, if it is not new
        #[arg(long, value_name = "IRI")]
        consent: Option<String>,
        #[command(flatten)]
        evidence: EvidenceArgs,
        #[command(flatten)]
        remote: Remote,
    },
    /// Withdraw a consent, everywhere
    Withdraw {
        /// The consent's identifier
        id: String,
        /// Why, in plain words
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        evidence: EvidenceArgs,
        /// Wait, at most a minute, until every holder has answered
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take over consents from another system; they count as imported
    Import {
        /// What `consent export` of a hub gave: records with their events
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Give out a consent with its history and evidence
    Export {
        /// The consent's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `subject`
#[derive(Debug, Subcommand)]
pub enum Subject {
    /// Bind an entity, or one Attribute of it, to a person
    Bind {
        /// The entity
        #[arg(long, value_name = "IRI")]
        entity: String,
        /// The person
        #[arg(long, value_name = "IRI")]
        subject: String,
        /// One Attribute only
        #[arg(long, value_name = "IRI")]
        attribute: Option<String>,
        /// From when
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Until when
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// On what evidence
        #[arg(long, value_name = "TEXT")]
        evidence: String,
        /// When several persons are bound: `all` must agree, or any `holder` decides
        #[arg(long, value_name = "RULE", value_parser = ["all", "holder"])]
        rule: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List bindings
    List {
        /// Of this person only
        #[arg(long, value_name = "IRI")]
        subject: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `holder`
#[derive(Debug, Subcommand)]
pub enum Holder {
    /// List holders with their class and last heartbeat
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one holder: what it holds, what it acknowledged, what is overdue
    Show {
        /// The holder's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `quarantine`
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// List what is held
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show why one item is held
    Show {
        /// The item's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let one item in, after a person has looked at it
    Release {
        /// The item's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Throw one item away
    Discard {
        /// The item's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `dead-letter`
#[derive(Debug, Subcommand)]
pub enum DeadLetter {
    /// List what was given up
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show what the attempts met
    Show {
        /// The item's identifier
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Decide anew and try again
    Replay {
        /// The item's identifier; all of them without one
        id: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `keys`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List keys, present and past
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Sign with a new key from now on; old signatures stay good
    Rotate {
        #[command(flatten)]
        remote: Remote,
    },
    /// Declare a key lost: nothing it signed is believed any more
    Revoke {
        /// The key's identifier
        kid: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `journal`
#[derive(Debug, Subcommand)]
pub enum Journal {
    /// Verify the chain, and name the first bad record
    Verify {
        #[command(flatten)]
        remote: Remote,
    },
    /// Give out the journal for an auditor
    Export {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one person's page: who, what, why, when, stopped
    Show {
        /// The person
        #[arg(long, value_name = "IRI")]
        subject: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A bundle, or an entity with tags
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `expand` and `compact`
#[derive(Debug, Args)]
pub struct Convert {
    /// The document; `-` reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The @context: the URL of a preloaded or core one, or a file
    #[arg(long, value_name = "URL|FILE")]
    pub context: Option<String>,
    /// Load @contexts from a folder with an `index.json` of URLs and files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub preload_contexts: Option<PathBuf>,
}

/// `convert`
#[derive(Debug, Subcommand)]
pub enum ConvertFrom {
    /// IDS Information Model 4.x to DCAT and ODRL as the Dataspace Protocol has them, or back: 0 nothing lost, 1 not understood, 3 something lost
    ///
    /// The document goes to standard output, what was lost to standard error. No rule vanishes: it is in the output or in the report. A
    /// permission that lost a constraint or a duty is left out, a prohibition that lost a constraint forbids more. Exit code 2, as of every
    /// command: a file could not be read or written.
    Ids(ConvertIds),
}

/// `convert ids`
#[derive(Debug, Args)]
pub struct ConvertIds {
    /// A self-description, catalogue, resource, offer, request or agreement; `-` reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What to convert to; without it the document says which side it is on
    #[arg(long, value_enum)]
    pub to: Option<ConvertTo>,
    /// Write what was lost to a file, as JSON; `-` prints document and report as one JSON object
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub loss: Option<PathBuf>,
}

/// A side of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConvertTo {
    /// DCAT and ODRL
    Dcat,
    /// IDS
    Ids,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The broker, before `/ngsi-ld/v1`
    #[arg(value_hint = ValueHint::Url)]
    pub url: String,
    /// The broker's token
    #[arg(long, env = "WAYBILL_BROKER_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Write into this tenant to find out whether expired data is hidden; it should hold nothing else
    #[arg(long, value_name = "TENANT")]
    pub scratch: Option<String>,
}

/// `backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write
    #[arg(value_hint = ValueHint::FilePath)]
    pub to: PathBuf,
    /// The hub's data folder
    #[arg(long, value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
}

/// `restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The file to read
    #[arg(value_hint = ValueHint::FilePath)]
    pub from: PathBuf,
    /// The hub's data folder, which the hub must not be using
    #[arg(long, value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
}

/// `explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// A code such as `route-without-basis`, a term of the @context, or `purposes` or `codes`
    pub what: String,
    /// The @context a term is looked up in: the URL of a preloaded or core one, or a file
    #[arg(long, value_name = "URL|FILE")]
    pub context: Option<String>,
    /// Load @contexts from a folder with an `index.json` of URLs and files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub preload_contexts: Option<PathBuf>,
}

/// `completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
