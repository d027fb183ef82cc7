// SPDX-License-Identifier: Apache-2.0
// Rules of a game day, its record and what people say.
#pragma once

#include "api/detail/rules_experiment.h"
#include "api/detail/rules_sweep.h"
#include "api/gameday.h"
#include "api/gameday_record.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kStrict<GameDay> = true;
// What a person sends; what is misspelt must not be taken for something else.
template <>
inline constexpr bool kStrict<DayWord> = true;

inline constexpr std::string_view kGameDayKinds[] = {kGameDayKind};
inline constexpr std::size_t kMostDayText = 4096;  // of what a person says or reads in a step
inline constexpr std::size_t kMostUserName = 253;
inline constexpr std::string_view kRelativePath = "^[^/].*$";
// A key of a ConfigMap or a Secret.
inline constexpr std::string_view kNameAndKey =
    "^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/[-._a-zA-Z0-9]{1,253}$";
inline constexpr std::string_view kDate = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

constexpr FieldRule people_rule(std::string_view key, std::string_view help) {
  return {.key = key,
          .help = help,
          .not_empty = true,
          .max_items = 64,
          .max_length = kMostUserName,
          .example = "[\"jane@example.com\"]"};
}

template <>
struct Rules<GameDay> {
  static constexpr std::string_view help =
      "A game day: what a team practises together, step by step.";
  static constexpr FieldRule fields[] = {
      {.key = "apiVersion",
       .help = "Version of this language.",
       .required = true,
       .words = kApiVersions},
      {.key = "kind", .help = "What this document is.", .required = true, .words = kGameDayKinds},
      {.key = "metadata",
       .help = "Name and labels of the day; its experiments are named after it.",
       .required = true},
      {.key = "spec", .help = "The day itself.", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<GameDaySpec> {
  static constexpr std::string_view help = "What is believed, who takes part, and the steps.";
  static constexpr FieldRule fields[] = {
      {.key = "title",
       .help = "What the day is about, in a line.",
       .required = true,
       .not_empty = true,
       .max_length = 256,
       .example = "\"Payments is slow\""},
      {.key = "hypothesis",
       .help = "What the team believes will happen.",
       .max_length = kMostDayText,
       .example = "\"Checkout stays up, and the pager says so within a minute\""},
      {.key = "owner", .help = "The team that the day belongs to.", .max_length = kMostUserName},
      {.key = "roles", .help = "Who takes part, and as what."},
      {.key = "window", .help = "Faults begin only between these times."},
      {.key = "preChecks",
       .help = "What has to be in order before the first step: agents, targets, monitoring, alerts "
               "and abort, which ends a fault of one second and says how long that took.",
       .max_items = 5},
      {.key = "abortWhen",
       .help = "Conditions that end the whole day while a step is under way.",
       .max_items = 32},
      {.key = "ttlAfterFinished",
       .help =
           "In Kubernetes: how long the object is kept when the day is over, or never to keep it "
           "until somebody deletes it. Left out: as the policy says.",
       .max_length = 16,
       .pattern = kTtl,
       .pattern_words = kTtlWords,
       .example = "\"7d\""},
      {.key = "steps",
       .help = "What is done, one after the other.",
       .required = true,
       .not_empty = true,
       .max_items = kMostDaySteps}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<GameDayRoles> {
  static constexpr std::string_view help =
      "Names of users. Who has no role here watches, and says what everybody may say.";
  static constexpr FieldRule fields[] = {
      people_rule("facilitator", "Leads the day, and knows its surprises."),
      people_rule("commander", "Leads the response."),
      people_rule("scribe", "Writes down what happens."), people_rule("observers", "Watch.")};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<DayWindow> {
  static constexpr std::string_view help = "Times in UTC, or with an offset.";
  static constexpr FieldRule fields[] = {
      {.key = "notBefore", .help = "No step begins before.", .example = "\"2026-12-01T09:00:00Z\""},
      {.key = "notAfter",
       .help = "No fault begins after, and what runs then is ended.",
       .example = "\"2026-12-01T12:00:00Z\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Step> {
  static constexpr std::string_view help =
      "One step: exactly one of experiment, sweep, task, waitFor, note, pause, serial, parallel.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "Name of the step, unique in the day.",
       .required = true,
       .max_length = 40,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "\"slow-payments\""},
      {.key = "title", .help = "What the step is, in a line.", .max_length = 256},
      {.key = "when", .help = "The step is left out unless an earlier one ended so."},
      {.key = "deadline",
       .help = "A step that is not over then is ended, and has missed.",
       .example = "\"5m\""},
      {.key = "repeat",
       .help = "How often the step is done.",
       .min = 1,
       .max = static_cast<double>(kMostRepeats)},
      {.key = "surprise",
       .help = "Only the facilitator sees the step, and what it runs, until it was found or is "
               "over."},
      {.key = "onMiss", .help = "What follows when the step missed."},
      {.key = "experiment", .help = "An experiment that is run."},
      {.key = "sweep", .help = "A sweep whose cells are run one after the other."},
      {.key = "task", .help = "Something that people do."},
      {.key = "waitFor", .help = "Something that is waited for."},
      {.key = "note",
       .help = "A line of the timeline.",
       .not_empty = true,
       .max_length = kMostDayText},
      {.key = "pause", .help = "So long nothing happens.", .example = "\"30s\""},
      {.key = "serial",
       .help = "Steps that are done one after the other.",
       .not_empty = true,
       .max_items = kMostDaySteps},
      {.key = "parallel",
       .help = "Steps that are done at the same time.",
       .not_empty = true,
       .max_items = 16}};
  static constexpr std::string_view schema = R"({"oneOf": [
    {"required": ["experiment"]}, {"required": ["sweep"]}, {"required": ["task"]},
    {"required": ["waitFor"]}, {"required": ["note"]},
    {"required": ["pause"], "properties": {"pause": {
      "not": {"anyOf": [{"const": 0}, {"pattern": "^[0.nuµμmsh]+$"}]}}}},
    {"required": ["serial"]}, {"required": ["parallel"]}]})";
};

template <>
struct Rules<StepWhen> {
  static constexpr std::string_view help = "How an earlier step ended.";
  static constexpr FieldRule fields[] = {
      {.key = "step", .help = "Name of an earlier step.", .required = true, .max_length = 40},
      {.key = "is",
       .help = "One of these.",
       .required = true,
       .not_empty = true,
       .max_items = 7,
       .example = "[\"missed\"]"}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<StepExperiment> {
  static constexpr std::string_view help =
      "An experiment: its spec, the file of an Experiment beside the game day, or, of a surprise, "
      "a Secret that holds one.";
  static constexpr FieldRule fields[] = {
      {.key = "spec", .help = "The experiment's spec."},
      {.key = "file",
       .help = "A file with an Experiment.",
       .max_length = kMostPath,
       .pattern = kRelativePath,
       .pattern_words = "a path that is relative to this file",
       .example = "\"slow-payments.yaml\""},
      {.key = "secret",
       .help =
           "NAME/KEY of a Secret in the day's namespace that holds an Experiment; of a surprise "
           "only.",
       .max_length = 512,
       .pattern = kNameAndKey,
       .pattern_words = "NAME/KEY like \"payments-surprise/slow.yaml\"",
       .example = "\"payments-surprise/slow.yaml\""}};
  static constexpr std::string_view schema =
      R"({"oneOf": [{"required": ["spec"]}, {"required": ["file"]}, {"required": ["secret"]}]})";
};

template <>
struct Rules<StepTask> {
  static constexpr std::string_view help = "Something that people do, with a runbook or without.";
  static constexpr FieldRule fields[] = {
      {.key = "text",
       .help = "What is to be done.",
       .max_length = kMostDayText,
       .example = "\"Bring checkout below 200 ms again\""},
      {.key = "role", .help = "Whose task it is; none: anybody's."},
      {.key = "runbook", .help = "The steps that are ticked."},
      {.key = "timeout", .help = "How long an answer is waited for.", .example = "\"10m\""},
      {.key = "otherwise", .help = "How the step ended when nobody answered in time."}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Runbook> {
  static constexpr std::string_view help =
      "Numbered steps in Markdown: a file beside the game day, a ConfigMap, or the text itself. A "
      "url is shown and never fetched.";
  static constexpr FieldRule fields[] = {
      {.key = "file",
       .help = "A Markdown file beside the game day.",
       .max_length = kMostPath,
       .pattern = kRelativePath,
       .pattern_words = "a path that is relative to this file",
       .example = "\"runbooks/slow-payments.md\""},
      {.key = "configMap",
       .help = "NAME/KEY of a ConfigMap in the day's namespace.",
       .max_length = 512,
       .pattern = kNameAndKey,
       .pattern_words = "NAME/KEY like \"runbooks/slow-payments.md\""},
      {.key = "url",
       .help = "Where people find it.",
       .max_length = 2048,
       .pattern = "^https?://[^\\s]+$",
       .pattern_words = "an address that begins with https:// or http://"},
      {.key = "text", .help = "The Markdown."}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<StepWait> {
  static constexpr std::string_view help =
      "What is waited for: exactly one of alert, promql, effect and person.";
  static constexpr FieldRule fields[] = {
      {.key = "alert",
       .help = "Name of an alert.",
       .max_length = 253,
       .example = "\"CheckoutSlow\""},
      {.key = "labels",
       .help = "Only an instance of the alert that has all of these labels counts.",
       .not_empty = true,
       .max_items = 32,
       .keys = &kMonitoringLabelKey,
       .values = &kMonitoringLabelValue},
      {.key = "state", .help = "Whether the alert is to fire, or to be silent."},
      {.key = "promql",
       .help = "A query of the monitoring; its bound is a number.",
       .max_length = kMostQuery},
      {.key = "above",
       .help = "The query's value is above.",
       .number_ok = true,
       .max_length = kMostBound},
      {.key = "below",
       .help = "The query's value is below.",
       .number_ok = true,
       .max_length = kMostBound},
      {.key = "effect", .help = "A bound on what the day's experiments measure now."},
      {.key = "person",
       .help = "What somebody confirms.",
       .max_length = kMostDayText,
       .example = "\"Everybody has read the briefing\""}};
  static constexpr std::string_view schema = R"({"oneOf": [
    {"required": ["alert"]}, {"required": ["promql"]}, {"required": ["effect"]},
    {"required": ["person"]}]})";
};

template <>
struct Rules<ActionItem> {
  static constexpr std::string_view help = "What is to be done by when, and which step shows it.";
  static constexpr FieldRule fields[] = {
      {.key = "text", .help = "What.", .required = true, .not_empty = true, .max_length = 1024},
      {.key = "owner", .help = "Who.", .max_length = kMostUserName},
      {.key = "due",
       .help = "By when.",
       .max_length = 10,
       .pattern = kDate,
       .pattern_words = "a date like \"2026-12-31\""},
      {.key = "retest", .help = "The step that shows it.", .max_length = 40}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<DayWord> {
  static constexpr std::string_view help = "What a person says on a game day.";
  static constexpr FieldRule fields[] = {
      {.key = "kind", .help = "What kind of word it is.", .required = true},
      {.key = "at", .help = "When it happened."},
      {.key = "key",
       .help = "Chosen by who says it: the same word sent again is one entry.",
       .required = true,
       .max_length = 64,
       .pattern = "^[-A-Za-z0-9]{8,64}$",
       .pattern_words = "8 to 64 letters, digits and -"},
      {.key = "as", .help = "Who says it.", .max_length = kMostUserName},
      {.key = "step", .max_length = 40},
      {.key = "word", .max_length = 253},
      {.key = "text", .max_length = kMostDayText},
      {.key = "item", .min = 0, .max = static_cast<double>(kMostRunbookSteps)}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
