//! What does a service written in Rust see? One client object for its life, and a line of JSON for each line it is sent.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use aws_sdk_sts::Client;
use aws_sdk_sts::error::{DisplayErrorContext, SdkError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

fn main() -> io::Result<()> {
    // Worker threads of its own, as in a service: connections are looked after while nobody is asking for anything.
    let runtime = Runtime::new()?;
    let mut client = None;
    for line in io::stdin().lock().lines() {
        if line?.trim() == "fresh" {
            client = None;
        }
        let answer = runtime.block_on(call(&mut client));
        writeln!(io::stdout(), "{answer}")?;
        io::stdout().flush()?;
    }
    Ok(())
}

/// One signed request, with the client that is there already, if one is.
async fn call(kept: &mut Option<Client>) -> Value {
    let begun = Instant::now();
    let client = match kept {
        Some(client) => client,
        None => {
            let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
            kept.insert(Client::new(&config))
        }
    };
    let outcome = client.get_caller_identity().send().await;
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(identity) => json!({"ok": true, "seconds": seconds, "said": identity.arn()}),
        Err(error) => {
            let words = DisplayErrorContext(&error).to_string();
            let message: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let message: String = message.chars().take(200).collect();
            json!({"ok": false, "seconds": seconds, "error": format!("{}: {message}", class(&error))})
        }
    }
}

/// The SDK has one error type for all; which of its cases this is says as much as a class does elsewhere.
fn class<E, R>(error: &SdkError<E, R>) -> &'static str {
    match error {
        SdkError::ConstructionFailure(_) => "ConstructionFailure",
        SdkError::TimeoutError(_) => "TimeoutError",
        SdkError::DispatchFailure(_) => "DispatchFailure",
        SdkError::ResponseError(_) => "ResponseError",
        SdkError::ServiceError(_) => "ServiceError",
        _ => "SdkError",
    }
}
