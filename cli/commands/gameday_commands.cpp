// SPDX-License-Identifier: Apache-2.0
// The table of the verbs of `faultline gameday`.
#include "cli/cluster/choice.h"
#include "cli/commands/commands.h"
#include "cli/commands/gameday.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kAnyWords = 1000;

constexpr std::string_view kDay =
    "DAY is the id of a day, or a game day's name for its newest; in a cluster of the context's "
    "namespace, of that of -n, or NAMESPACE/NAME.";
constexpr std::string_view kSaid =
    "DAY is the id of a day, or a game day's name for its newest. What is said has its own time "
    "and a key: while the controller is away it is sent again, and it is never two entries.";

Option as_option() {
  return {.name = "as",
          .value = "NAME",
          .help = "who says it, where the controller knows no users; else $FAULTLINE_AS"};
}
Option wait_option() {
  return {.name = "wait", .value = "TIME", .help = "how long the controller may be away (10m)"};
}

// A verb by which somebody says something.
Command word(std::string_view name, std::string_view arguments, std::size_t least, std::size_t most,
             std::string_view summary, std::string_view example, std::vector<Option> own = {}) {
  own.push_back(as_option());
  own.push_back({.name = "at",
                 .value = "TIME",
                 .help = "when it happened (now): 2026-11-23T10:15:02Z, or 10:15 in UTC"});
  own.push_back({.name = "key",
                 .value = "KEY",
                 .help = "of a word that was said before: it is the same entry"});
  own.push_back(wait_option());
  own.push_back(namespace_option());
  return {.name = name,
          .arguments = arguments,
          .min_arguments = least,
          .max_arguments = most,
          .summary = summary,
          .detail = kSaid,
          .options = with_controller(std::move(own)),
          .examples = {{example, summary}},
          .run = run_gameday_word};
}

Command plan_verb() {
  return {.name = "gameday plan",
          .arguments = "FILE",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = "Show what a day would do now, and start nothing",
          .detail =
              "Who would be hit in all, how long it takes, which alerts cannot fire, and what "
              "stands in the way of each step.",
          .options = with_controller({namespace_option()}),
          .examples = {{"faultline gameday plan day.yaml", "before the day"}},
          .offer = Offer::kFile,
          .run = run_gameday_plan};
}

Command manifest_verb() {
  return {
      .name = "gameday manifest",
      .arguments = "FILE",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "Print a day with what its files say, for kubectl apply",
      .detail =
          "An object of a cluster has no files beside it. What surprises do goes into a Secret, "
          "with the right for the controller to read it: apply them as somebody who may make "
          "Roles there. Whoever may read the object sees that there are surprises, and their "
          "names.",
      .options = {{.name = "unattended", .help = "nobody is there: tasks take their defaults"},
                  output_option()},
      .examples = {{"faultline gameday manifest day.yaml | kubectl apply -f -",
                    "begins the day in a cluster"}},
      .offer = Offer::kFile,
      .run = run_gameday_manifest};
}

Command run_verb() {
  return {
      .name = "gameday run",
      .arguments = "FILE",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "Make a day, start it when its checks are good, follow it, write its report",
      .detail =
          "Shows the plan, makes the day, waits for its checks, asks (on a terminal), starts it "
          "and "
          "follows it to its end. Others take part with the other verbs meanwhile. Ctrl-C aborts "
          "the day; a second one leaves at once.\n"
          "With --unattended nobody is there: tasks take their default when their time is over.\n"
          "With --pods and no --controller, a private controller and agent do the day on this "
          "machine (this needs root) and leave nothing behind.",
      .options = with_controller(
          {{.name = "unattended", .help = "nobody is there: tasks take their defaults"},
           {.name = "report",
            .value = "DIR",
            .help = "where the report is written (./<day id>)",
            .offer = Offer::kFolder},
           {.name = "yes", .letter = 'y', .help = "do not ask before the start"},
           {.name = "anyway",
            .help = "start although a check is not good, or an alert could not be noticed"},
           as_option(),
           wait_option(),
           pods_option("pods of this machine; runs a private controller and agent"),
           prometheus_option(),
           alertmanager_option(),
           monitoring_option(),
           namespace_option()}),
      .examples = {{"faultline gameday run day.yaml --controller http://faultline:7878",
                    "with the others at their own terminals"},
                   {"faultline gameday run day.yaml --kubernetes --unattended --yes --report out",
                    "at night; the exit code tells whether something was missed"}},
      .offer = Offer::kFile,
      .run = run_gameday_run};
}

Command watch_verb() {
  return {.name = "gameday watch",
          .arguments = "DAY",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = "Follow a day to its end",
          .detail = kDay,
          .options = with_controller({as_option(), wait_option(), namespace_option()}),
          .examples = {{"faultline gameday watch payments", "Ctrl-C leaves the day alone"}},
          .run = run_gameday_watch};
}

Command report_verb() {
  return {.name = "gameday report",
          .arguments = "DAY",
          .min_arguments = 1,
          .max_arguments = 1,
          .summary = "Print or write the report of a day",
          .detail = kDay,
          .options = with_controller({{.name = "format",
                                       .value = "FORM",
                                       .help = "this form of it (md); incident is a folder",
                                       .choices = {"json", "md", "html", "incident"}},
                                      {.name = "directory",
                                       .letter = 'd',
                                       .value = "DIR",
                                       .help = "write it here; without --format all three forms",
                                       .offer = Offer::kFolder},
                                      {.name = "names", .help = "with the names of people"},
                                      as_option(),
                                      namespace_option()}),
          .examples = {{"faultline gameday report payments > postmortem.md", "to pass on"},
                       {"faultline gameday report payments --format incident -d incident",
                        "a labelled incident, for those who train or judge"}},
          .run = run_gameday_report};
}

}  // namespace

Command gameday_command() {
  Command command{
      .name = "gameday",
      .arguments = "VERB ...",
      .summary = "Run a game day: what a team practises together, step by step",
      .detail =
          "A GameDay is one file: what is believed, who takes part, the steps. Everything that "
          "is said or done goes to one timeline."};
  command.verbs = {
      plan_verb(),
      manifest_verb(),
      run_verb(),
      word("gameday start", "DAY", 1, 1, "Start a day that was checked",
           "faultline gameday start payments"),
      word("gameday next", "DAY [STEP]", 1, 2, "Answer what the day waits for a person",
           "faultline gameday next payments"),
      word("gameday done", "DAY STEP [TEXT]", 2, kAnyWords, "Say how a task ended",
           "faultline gameday done payments mend --outcome met",
           {{.name = "outcome",
             .value = "OUTCOME",
             .help = "how it ended (met)",
             .choices = {"done", "met", "missed", "partial", "skipped"}}}),
      word("gameday hold", "DAY [WHY]", 1, kAnyWords, "Hold a day: no further step begins",
           "faultline gameday hold payments --keep",
           {{.name = "keep", .help = "faults that run go on; else they are ended"}}),
      word("gameday resume", "DAY", 1, 1, "Let a day that is held go on",
           "faultline gameday resume payments"),
      word("gameday skip", "DAY STEP [WHY]", 2, kAnyWords, "Leave a step out, or end it",
           "faultline gameday skip payments grid"),
      word("gameday abort", "DAY [WHY]", 1, kAnyWords, "End a day and all its faults at once",
           "faultline gameday abort payments customers notice it"),
      word("gameday note", "DAY TEXT", 2, kAnyWords, "Write a line into the timeline",
           "faultline gameday note payments the queue is growing --at 10:15"),
      word("gameday tick", "DAY STEP ITEM [TEXT]", 3, kAnyWords, "Tick a step of a runbook",
           "faultline gameday tick payments mend 2 --failed",
           {{.name = "failed", .help = "it did not work"}}),
      word("gameday missing", "DAY STEP TEXT", 3, kAnyWords, "Say what a runbook lacks",
           "faultline gameday missing payments mend how to drain the queue"),
      word("gameday ack", "DAY [ALERT]", 1, kAnyWords, "Say that you take care",
           "faultline gameday ack payments CheckoutSlow"),
      word("gameday mitigated", "DAY [TEXT]", 1, kAnyWords, "Say what helped",
           "faultline gameday mitigated payments rolled back"),
      word("gameday found", "DAY TEXT", 2, kAnyWords, "Say what you think the surprise is",
           "faultline gameday found payments packets are lost",
           {{.name = "step", .value = "STEP", .help = "the step that it is"}}),
      word("gameday action", "DAY TEXT", 2, kAnyWords, "Write down what is to be done",
           "faultline gameday action payments shorten the timeout --owner shop --due 2026-12-31",
           {{.name = "owner", .value = "NAME", .help = "who does it"},
            {.name = "due", .value = "DATE", .help = "by when: 2026-12-31"},
            {.name = "retest",
             .value = "STEP",
             .help = "the step that shows whether it changed anything"}}),
      watch_verb(),
      {.name = "gameday list",
       .summary = "List the days, the newest first",
       .options = with_controller({as_option(), namespace_option(), all_namespaces_option()}),
       .examples = {{"faultline gameday list", "all that you may see"}},
       .run = run_gameday_list},
      {.name = "gameday show",
       .arguments = "DAY",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Show a day as you may see it: its steps and its timeline",
       .detail = kDay,
       .options = with_controller({as_option(), namespace_option()}),
       .examples = {{"faultline gameday show payments", "what has happened so far"}},
       .run = run_gameday_show},
      report_verb()};
  return command;
}

}  // namespace faultline::cli
