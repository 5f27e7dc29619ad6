//! What others wrote and the contract tests run: each in a version that was tried, each named to the tests by a variable.

use std::path::PathBuf;

use crate::{npm, python};

/// A tool of the contract tests.
pub(crate) struct Tool {
    /// What is skipped without it.
    pub(crate) tests: &'static str,
    /// The variable that tells the tests where it is.
    pub(crate) variable: &'static str,
    /// Where it is, installed by now.
    pub(crate) installed: anyhow::Result<PathBuf>,
}

/// Installs every tool below `target` unless it is there.
pub(crate) fn tools() -> [Tool; 5] {
    [
        Tool { tests: "contract tests against moto", variable: "RAMPART_TEST_MOTO", installed: moto() },
        Tool {
            tests: "contract tests against prism",
            variable: "RAMPART_TEST_PRISM",
            installed: npm::folder("prism", &["@stoplight/prism-cli@5.16"])
                .map(|folder| folder.join("node_modules/.bin/prism")),
        },
        Tool {
            tests: "schemathesis over the API",
            variable: "RAMPART_TEST_SCHEMATHESIS",
            installed: python::environment("schemathesis", &["schemathesis==4.32.5"])
                .map(|bin| bin.join("schemathesis")),
        },
        Tool {
            tests: "the journey of a generated Python client",
            variable: "RAMPART_TEST_PYTHON_CLIENT",
            installed: python::environment(
                "python-client",
                &[
                    "openapi-python-client==0.29.1",
                    "mypy==2.4.1",
                    "attrs==26.1.0",
                    "httpx==0.28.1",
                    "python-dateutil==2.9.0.post0",
                    "types-python-dateutil==2.9.0.20251115",
                ],
            ),
        },
        Tool {
            tests: "the journey of a generated TypeScript client",
            variable: "RAMPART_TEST_TYPESCRIPT_CLIENT",
            installed: npm::folder(
                "typescript-client",
                &["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20"],
            ),
        },
    ]
}

/// The third-party AWS API: its server program.
pub(crate) fn moto() -> anyhow::Result<PathBuf> {
    Ok(python::environment("venv", &["moto[server]==5.2.*"])?.join("moto_server"))
}
