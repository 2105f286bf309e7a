//! Job, cluster and workspace in Cedar's terms: entities that the context names.
//!
//! One is there if its id is attributed and a rule mentions it. Its name is "" where
//! no rule tells names apart.

use super::facts::Facts;
use super::mentions::{Attribute, EntityType, Mentions};
use super::request::Fault;
use super::values::{Attributes, Expressions, write_text};
use super::vocabulary::Vocabulary;
use cedar_policy::{Entity, EntityUid, RestrictedExpression};

/// What an access was on behalf of.
pub(super) struct Workloads<'a> {
    workspace: Option<Part<'a>>,
    cluster: Option<Part<'a>>,
    job: Option<Part<'a>>,
}

/// One of them.
struct Part<'a> {
    of: EntityType,
    name: String,
    /// The workspace that it lies in, if a rule names workspaces.
    workspace: Option<&'a str>,
    attributes: Attributes<'a>,
    tags: &'a [(String, String)],
}

impl<'a> Facts<'a> {
    /// Collects what the rules can tell apart of job, cluster and workspace.
    pub(super) fn workloads(&self, mentions: Mentions) -> Workloads<'a> {
        let attribution = self.attribution;
        let workspace_id = attribution.workspace_id.as_deref();
        let above = workspace_id.filter(|_| mentions.names(EntityType::Workspace));
        let seen =
            |attribute: Attribute, id: Option<&'a str>| id.filter(|_| mentions.has(attribute));
        let tags = |tags: &'a [(String, String)]| match mentions.tags() {
            true => tags,
            false => &[],
        };
        let workspace = seen(Attribute::Workspace, workspace_id).map(|id| {
            let known = self.workload.workspace.as_ref();
            let mut attributes = Attributes::new(mentions);
            attributes.text(Attribute::WorkspaceId, Some(id));
            attributes.text(Attribute::Name, known.and_then(|it| it.name.as_deref()));
            Part {
                of: EntityType::Workspace,
                name: told(mentions, EntityType::Workspace, || id.to_owned()),
                workspace: None,
                attributes,
                tags: &[],
            }
        });
        let cluster = seen(Attribute::Cluster, attribution.cluster_id.as_deref()).map(|id| {
            let known = self.workload.cluster.as_ref();
            let mut attributes = Attributes::new(mentions);
            attributes.text(Attribute::ClusterId, Some(id));
            attributes.text(Attribute::Name, known.and_then(|it| it.name.as_deref()));
            attributes.text(Attribute::Source, known.and_then(|it| it.source.as_deref()));
            if let Some(dedicated) = known.and_then(|it| it.dedicated) {
                attributes.truth(Attribute::Dedicated, || dedicated);
            }
            Part {
                of: EntityType::Cluster,
                name: told(mentions, EntityType::Cluster, || id.to_owned()),
                workspace: above,
                attributes,
                tags: tags(known.map_or(&[], |it| &it.tags)),
            }
        });
        let job = seen(Attribute::Job, attribution.job_id.as_deref()).map(|id| {
            let known = self.workload.job.as_ref();
            let mut attributes = Attributes::new(mentions);
            attributes.text(Attribute::JobId, Some(id));
            attributes.text(Attribute::Name, known.and_then(|it| it.name.as_deref()));
            attributes.text(Attribute::RunAs, known.and_then(|it| it.run_as.as_deref()));
            attributes.text(
                Attribute::Creator,
                known.and_then(|it| it.creator.as_deref()),
            );
            Part {
                of: EntityType::Job,
                name: told(mentions, EntityType::Job, || {
                    format!("{}/{id}", workspace_id.unwrap_or_default())
                }),
                workspace: above,
                attributes,
                tags: tags(known.map_or(&[], |it| &it.tags)),
            }
        });
        Workloads {
            workspace,
            cluster,
            job,
        }
    }
}

fn told(mentions: Mentions, of: EntityType, name: impl FnOnce() -> String) -> String {
    match mentions.names(of) {
        true => name(),
        false => String::new(),
    }
}

impl<'a> Workloads<'a> {
    fn parts(&self) -> [(&'static str, Option<&Part<'a>>); 3] {
        [
            ("workspace", self.workspace.as_ref()),
            ("cluster", self.cluster.as_ref()),
            ("job", self.job.as_ref()),
        ]
    }

    /// The attributes of each, with the attribute of the context that names it.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (Attribute, &Attributes<'a>)> {
        let parts = [
            (Attribute::Workspace, &self.workspace),
            (Attribute::Cluster, &self.cluster),
            (Attribute::Job, &self.job),
        ];
        let parts = parts.into_iter();
        parts.filter_map(|(name, part)| Some((name, &part.as_ref()?.attributes)))
    }

    /// Writes all of it; no two give the same bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (_, part) in self.parts() {
            let Some(part) = part else {
                out.push(0);
                continue;
            };
            out.push(1);
            write_text(&part.name, out);
            super::values::write_optional(part.workspace, out);
            part.attributes.write(out);
            for (key, value) in part.tags {
                out.push(1);
                write_text(key, out);
                write_text(value, out);
            }
            out.push(0);
        }
    }

    /// Puts each into the context, and into the entities.
    pub(super) fn put(
        &self,
        vocabulary: &Vocabulary,
        context: &mut Expressions,
        entities: &mut Vec<Entity>,
    ) -> Result<(), Fault> {
        for (attribute, part) in self.parts() {
            let Some(part) = part else { continue };
            let entity = part.entity(vocabulary)?;
            let named = RestrictedExpression::new_entity_uid(entity.uid());
            context.insert(attribute.to_owned(), named);
            entities.push(entity);
        }
        Ok(())
    }
}

impl Part<'_> {
    fn entity(&self, vocabulary: &Vocabulary) -> Result<Entity, Fault> {
        let above = self.workspace.into_iter();
        let above = above.map(|id| vocabulary.entity(EntityType::Workspace, id));
        let tags = self
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), RestrictedExpression::new_string(value.clone())));
        Ok(Entity::new_with_tags(
            self.uid(vocabulary),
            self.attributes.expressions()?,
            above.collect::<std::collections::HashSet<EntityUid>>(),
            tags,
        )?)
    }

    fn uid(&self, vocabulary: &Vocabulary) -> EntityUid {
        vocabulary.entity(self.of, &self.name)
    }
}
