//! The sample API as a program: `sample-api --port N --products N [--bind ADDRESS] [--log FILE] [--verbose]`.
//! It is steered over the control paths; README.md has them.

use std::process::ExitCode;

use sample_api::{Options, SampleApi};

const USAGE: &str = "usage: sample-api [--port N] [--products N] [--bind ADDRESS] [--log FILE] [--verbose]";

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("sample-api: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match SampleApi::try_start(options) {
        Ok(api) => {
            println!("{}", api.url());
            api.join();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sample-api: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when help is asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--verbose" => options.verbose = true,
            "--port" => options.port = value(&name, &mut arguments)?,
            "--products" => options.products = value(&name, &mut arguments)?,
            "--bind" => options.bind = value(&name, &mut arguments)?,
            "--log" => options.log_file = Some(value(&name, &mut arguments)?),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(Some(options))
}

fn value<T: std::str::FromStr>(name: &str, arguments: &mut impl Iterator<Item = String>) -> Result<T, String> {
    let text = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
    text.parse().map_err(|_| format!("{name} cannot be {text}"))
}
