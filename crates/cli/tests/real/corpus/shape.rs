//! What is expected of a shape, read from the comments at the top of its Compose file.

/// All that the lines say.
#[derive(Debug, Default)]
pub struct Shape {
    pub stands_for: String,
    pub expected: String,
    /// What may answer on its first port, which is asked all the while it is changed; without any it is not asked.
    pub under_load: Vec<String>,
    pub update: Update,
    /// What the plan must say.
    pub plan: Vec<String>,
    /// What the refusal must say; without any it is not refused.
    pub refusals: Vec<String>,
    pub asks: Vec<Ask>,
    pub insides: Vec<Inside>,
    /// What Python says to some lines, and what must be in it.
    pub outsides: Vec<(String, String)>,
    pub before: Vec<String>,
    pub finally: Vec<String>,
}

/// What is changed once it is up.
#[derive(Debug, Clone)]
pub enum Update {
    /// This service gets the image `two`.
    Deploy(String),
    /// A file of the folder gets another word, which changes this service.
    Edit { service: String, file: String, old: String, new: String },
}

impl Default for Update {
    fn default() -> Self {
        Update::Deploy("web".to_owned())
    }
}

/// A request from outside.
#[derive(Debug, Clone)]
pub struct Ask {
    pub port: String,
    pub host: String,
    pub path: String,
    pub expected: String,
}

/// A command in the serving container of a service.
#[derive(Debug, Clone)]
pub struct Inside {
    pub service: String,
    pub command: String,
    pub expected: String,
}

impl Shape {
    pub fn read(text: &str) -> Shape {
        let mut shape = Shape::default();
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("`{line}` has no `: `"));
            shape.take(key, value.trim());
        }
        assert!(!shape.stands_for.is_empty() && !shape.expected.is_empty(), "it does not say what it stands for");
        shape
    }

    fn take(&mut self, key: &str, value: &str) {
        let text = value.to_owned();
        match key.split_once(' ') {
            _ if key == "stands for" => self.stands_for = text,
            _ if key == "deploys" || key == "refused" => self.expected = format!("{key}: {text}"),
            _ if key == "under load" => self.under_load = value.split(", ").map(str::to_owned).collect(),
            _ if key == "plan says" => self.plan.push(text),
            _ if key == "refusal says" => self.refusals.push(text),
            _ if key == "before" => self.before.push(text),
            _ if key == "finally" => self.finally.push(text),
            _ if key == "outside" => {
                let (code, expected) = value.rsplit_once(" => ").unwrap();
                self.outsides.push((code.to_owned(), expected.to_owned()));
            }
            Some(("ask", url)) => self.asks.push(asked(url, value)),
            Some(("inside", service)) => {
                let (command, expected) = value.rsplit_once(" => ").unwrap();
                self.insides.push(Inside {
                    service: service.to_owned(),
                    command: command.to_owned(),
                    expected: expected.to_owned(),
                });
            }
            Some(("update", service)) if value == "image" => self.update = Update::Deploy(service.to_owned()),
            Some(("update", service)) => {
                let (file, change) = value.split_once(' ').unwrap();
                let (old, new) = change.split_once(" => ").unwrap();
                self.update = Update::Edit {
                    service: service.to_owned(),
                    file: file.to_owned(),
                    old: old.to_owned(),
                    new: new.to_owned(),
                };
            }
            _ => panic!("`{key}` is no word of a shape"),
        }
    }
}

/// `ask ${PORT_1} localhost/path`.
fn asked(words: &str, expected: &str) -> Ask {
    let (port, rest) = words.split_once(' ').unwrap_or((words, "localhost/"));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ask { port: port.to_owned(), host: host.to_owned(), path: format!("/{path}"), expected: expected.to_owned() }
}
