use rampart_posture::policy::{Decision, Violation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Violations of one answer, and characters of a text: what a hostile policy says must not fill the pipe.
const VIOLATIONS: usize = 20;
const TEXT: usize = 2_000;

/// What the process is asked, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Name and text of every bundle.
    Load(Vec<(String, String)>),
    /// One object for one policy; without the object, the one before is meant.
    Review { policy: String, object: Option<Value>, namespace: Option<Value> },
}

/// What it answers, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The bundles are loaded.
    Ready,
    NotMatched,
    Passed,
    Violated(Vec<String>),
    Unknown(String),
}

impl From<Decision> for Answer {
    fn from(decision: Decision) -> Self {
        let cut = |text: String| text.chars().take(TEXT).collect::<String>();
        match decision {
            Decision::NotMatched => Self::NotMatched,
            Decision::Passed => Self::Passed,
            Decision::Violated(violations) => {
                Self::Violated(violations.into_iter().take(VIOLATIONS).map(|it| cut(it.message)).collect())
            }
            Decision::Unknown(why) => Self::Unknown(cut(why)),
        }
    }
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::NotMatched => Self::NotMatched,
            Answer::Passed => Self::Passed,
            Answer::Violated(messages) => {
                let violation = |message| Violation { message, details: None };
                Self::Violated(messages.into_iter().map(violation).collect())
            }
            Answer::Unknown(why) => Self::Unknown(why),
            Answer::Ready => Self::Unknown("the process of the policy answered out of turn".to_owned()),
        }
    }
}
