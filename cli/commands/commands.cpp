// SPDX-License-Identifier: Apache-2.0
// The one table of commands.
#include "cli/commands/commands.h"

#include "cli/cluster/choice.h"

namespace faultline::cli {

Option pods_option(std::string_view help) {
  return {.name = "pods", .value = "PODS.yaml", .help = help, .offer = Offer::kFile};
}

Option prometheus_option() {
  return {.name = "prometheus",
          .value = "URL",
          .help = "with --pods: the Prometheus to ask for expected alerts"};
}
Option alertmanager_option() {
  return {.name = "alertmanager",
          .value = "URL",
          .help = "with --pods: the Alertmanager to ask who was told"};
}
Option monitoring_option() {
  return {.name = "monitoring",
          .value = "FILE",
          .help = "with --pods: several of both, with tokens and certificates",
          .offer = Offer::kFile};
}

namespace {

Command run_command() {
  return {
      .name = "run",
      .arguments = "FILE",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "Run an experiment and report what it did",
      .detail =
          "Checks the experiment, shows who is hit and how it ends, asks (on a terminal), runs it, "
          "follows it live, prints the report and writes it as JSON, Markdown and HTML. Ctrl-C "
          "stops the experiment in order; a second one leaves at once.\n"
          "With --pods and no --controller, a private controller and agent do the run on this "
          "machine (this needs root) and leave nothing behind, even if this command is killed.\n"
          "In a cluster the run is an Experiment, which kubectl get flx shows; who deletes it ends "
          "the run.",
      .options = with_controller(
          {pods_option("pods of this machine; runs a private controller and agent"),
           {.name = "report",
            .value = "DIR",
            .help = "where the report is written (./<run id>)",
            .offer = Offer::kFolder},
           {.name = "yes", .letter = 'y', .help = "do not ask before the start"},
           {.name = "dry-run", .help = "show the plan and start nothing"},
           {.name = "anyway", .help = "run although an expected alert could not be noticed"},
           prometheus_option(),
           alertmanager_option(),
           monitoring_option(),
           {.name = "replace", .help = "in a cluster: in place of a finished one of this name"},
           namespace_option()}),
      .examples = {{"sudo faultline run slow-payments.yaml --pods pods.yaml",
                    "on this machine, without Kubernetes"},
                   {"faultline run slow-payments.yaml --controller http://faultline:7878 --yes "
                    "--report out",
                    "in a pipeline; the exit code is the verdict"},
                   {"faultline run slow-payments.yaml --kubernetes",
                    "in the cluster of the current context, as who you are there; the same as "
                    "kubectl faultline run"}},
      .offer = Offer::kFile,
      .run = run_run};
}

Command tune_command() {
  return {
      .name = "tune",
      .arguments = "NAME... ALERT",
      .min_arguments = 2,
      .max_arguments = 9,
      .summary = "Show what other settings of an alert rule would have made of runs",
      .detail =
          "For other values of the rule's for, threshold and range window: after how many seconds "
          "it would have detected these runs (at most 8), and how often it would have fired "
          "outside of all runs, in what Prometheus has of the time before now. The present setting "
          "is marked, and those that no other one beats. A list is values with commas between "
          "them; without one, values around the present are taken. Where a rule compares with "
          "several numbers, or has several windows, all change by the same factor.",
      .options = with_controller(
          {{.name = "for", .value = "LIST", .help = "values of for: 0s,30s,2m"},
           {.name = "threshold", .value = "LIST", .help = "values of the threshold: 0.2,0.5"},
           {.name = "window", .value = "LIST", .help = "values of the range window: 1m,5m"},
           {.name = "history",
            .value = "TIME",
            .help = "how far back false alarms are counted (7d); 0s: not at all"},
           {.name = "step",
            .value = "TIME",
            .help = "look at the history this coarsely, not at each evaluation"},
           {.name = "all", .help = "show also settings that another one beats"},
           {.name = "html",
            .value = "FILE",
            .help = "write table and plot as a page",
            .offer = Offer::kFile},
           namespace_option()}),
      .examples = {{"faultline tune slow-payments PaymentsSlow", "values around the present ones"},
                   {"faultline tune slow-payments lost-payments PaymentsSlow --for 0s,30s,1m "
                    "--threshold 0.2,0.5 --history 14d --html tune.html",
                    "two runs, and what was in question"}},
      .run = run_tune};
}

Command sweep_command() {
  return {
      .name = "sweep",
      .arguments = "FILE",
      .min_arguments = 1,
      .max_arguments = 1,
      .summary = "Run a grid of faults and severities, and map which of them are noticed",
      .detail =
          "FILE is a Sweep. Each cell is a run as 'faultline run' makes it, from the baseline to "
          "the recovery; the next begins when the alerts are silent and the effects are over. All "
          "cells are checked before the first.\n"
          "How far it is stands in DIR/sweep.json: after Ctrl-C, a crash or kill -9 the same "
          "command goes on behind the last finished cell. The map is printed and in DIR/sweep.md "
          "and DIR/sweep.html, the report of each cell in a folder of its name.",
      .options = with_controller(
          {{.name = "directory",
            .letter = 'd',
            .value = "DIR",
            .help = "progress, maps and reports (./<name of the sweep>)",
            .offer = Offer::kFolder},
           {.name = "fault", .value = "NAME", .help = "only this row of the grid"},
           {.name = "threshold",
            .help = "not the grid: bisect for the mildest severity that is noticed"},
           {.name = "resolution",
            .value = "STEP",
            .help = "with --threshold: how exactly (else as the document says)"},
           {.name = "retry-gaps", .help = "run the cells again that came to no result"},
           pods_option("pods of this machine; runs a private controller and agent"),
           {.name = "yes", .letter = 'y', .help = "do not ask before the start"},
           {.name = "dry-run", .help = "check all cells, show the plan and start nothing"},
           {.name = "anyway", .help = "run although an expected alert could not be noticed"},
           prometheus_option(),
           alertmanager_option(),
           monitoring_option(),
           namespace_option()}),
      .examples =
          {{"faultline sweep payments-latency.yaml --controller http://faultline:7878 -d out",
            "all cells; again to go on"},
           {"faultline sweep payments-latency.yaml --threshold --fault latency -d out",
            "from which latency on is it noticed?"}},
      .offer = Offer::kFile,
      .run = run_sweep};
}

std::vector<Command> all_commands() {
  const std::string_view kName =
      "NAME is the id of a run, or an experiment's name for its newest run; in a cluster of the "
      "context's namespace, of that of -n, or NAMESPACE/NAME.";
  return {
      run_command(),
      sweep_command(),
      gameday_command(),
      {.name = "validate",
       .arguments = "FILE",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Check an experiment, a sweep or a game day without running it",
       .detail = "Every problem is told with file, line, key and the nearest valid word. '-' reads "
                 "the standard input.",
       .options = {pods_option("check this pods file too"), output_option()},
       .examples = {{"faultline validate slow-payments.yaml", "exit code 0 if valid, else 3"}},
       .offer = Offer::kFile,
       .run = run_validate},
      {.name = "explain",
       .arguments = "FILE",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Say in plain words who is hit, what applications will see, and how it ends",
       .detail =
           "With --pods it names the pods that match; with a controller it asks for the plan. "
           "Nothing is started.",
       .options = with_controller({pods_option("pods of this machine"), namespace_option()}),
       .examples = {{"faultline explain slow-payments.yaml --pods pods.yaml", "before a run"}},
       .offer = Offer::kFile,
       .run = run_explain},
      {.name = "get",
       .arguments = "[NAME]",
       .max_arguments = 1,
       .summary = "List the runs, or show one",
       .detail = kName,
       .options = with_controller({namespace_option(), all_namespaces_option()}),
       .examples = {{"faultline get", "all runs, the newest first"},
                    {"faultline get slow-payments --output json", "all that is known of one"}},
       .run = run_get},
      {.name = "watch",
       .arguments = "NAME",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Follow a run until it ends, then show its report",
       .detail =
           "NAME is the id of a run, or an experiment's name for its newest run; in a cluster "
           "of the context's namespace, of that of -n, or NAMESPACE/NAME. Ctrl-C ends the "
           "watching, not the run. With --output json each state is a line.",
       .options = with_controller({namespace_option()}),
       .examples = {{"faultline watch slow-payments", "the exit code is the verdict"}},
       .run = run_watch},
      {.name = "stop",
       .arguments = "[NAME]",
       .max_arguments = 1,
       .summary = "Stop a run, or all of them, and wait until the faults are gone",
       .detail =
           "NAME is the id of a run, or the name of an experiment that is under way; in a cluster "
           "of the context's namespace, of that of -n, or NAMESPACE/NAME. What could mean several "
           "runs is refused with the candidates.",
       .options = with_controller(
           {{.name = "all", .help = "stop every run; in a cluster those of the namespace"},
            namespace_option(),
            all_namespaces_option()}),
       .examples = {{"faultline stop slow-payments", "one"},
                    {"faultline stop --all", "everything"}},
       .run = run_stop},
      {.name = "report",
       .arguments = "NAME",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Show the report of a run",
       .detail = kName,
       .options = with_controller({{.name = "format",
                                    .value = "FORM",
                                    .help = "print this form of it instead of the short one",
                                    .choices = {"json", "md", "html"}},
                                   {.name = "report",
                                    .value = "DIR",
                                    .help = "write all three forms into this folder",
                                    .offer = Offer::kFolder},
                                   namespace_option()}),
       .examples = {{"faultline report slow-payments", "the short form"},
                    {"faultline report slow-payments --format md > report.md", "to pass on"}},
       .run = run_report},
      {.name = "nodes",
       .summary = "List the nodes, their pods, and the faults they can arm",
       .options = with_controller({}),
       .examples = {{"faultline nodes", "who has joined"}},
       .run = run_nodes},
      {.name = "monitoring",
       .summary = "Tell which Prometheus and Alertmanager are reached, and what is missing",
       .detail =
           "Asks the controller, which asks each source for its version and clock. Prints the "
           "route "
           "to add to Alertmanager's configuration, so that a run knows when somebody was told.",
       .options = with_controller({namespace_option()}),
       .examples = {{"faultline monitoring", "before an experiment that expects an alert"}},
       .run = run_monitoring},
      {.name = "alerts",
       .summary = "List the alert rules, and in which run each was last shown to fire",
       .detail = "A rule that no run has shown to fire is 'never', and may be one that cannot.",
       .options = with_controller({namespace_option()}),
       .examples = {{"faultline alerts", "what was never tested"},
                    {"faultline alerts --output json", "for programs"}},
       .run = run_alerts},
      {.name = "rule-test",
       .arguments = "NAME ALERT",
       .min_arguments = 2,
       .max_arguments = 2,
       .summary = "Write what a run measured as a test of an alert rule, for promtool",
       .detail =
           "Two files: the rule as it was in the run, and a test with the samples that Prometheus "
           "stored then, which holds that the alert is silent before the fault and fires in it. "
           "The alert must have fired in the run, and Prometheus must have the samples still.",
       .options = with_controller({{.name = "directory",
                                    .letter = 'd',
                                    .value = "DIR",
                                    .help = "where the files are written (here)",
                                    .offer = Offer::kFolder},
                                   namespace_option()}),
       .examples = {{"faultline rule-test slow-payments PaymentsSlow -d tests",
                     "then promtool test rules tests/PaymentsSlow.test.yml"}},
       .run = run_rule_test},
      tune_command(),
      {.name = "probe",
       .summary = "Tell what a kernel can do, and why not the rest",
       .detail =
           "Without a controller it tries this machine's kernel (which needs root) and leaves "
           "nothing; with one it tells what the nodes found.",
       .options = with_controller({}),
       .examples = {{"sudo faultline probe", "this machine"},
                    {"faultline probe --controller http://faultline:7878 --output json",
                     "every node, for programs"}},
       .run = run_probe},
      {.name = "schema",
       .summary = "Print the JSON Schema of an experiment, for editors",
       .detail =
           "With --crd the CustomResourceDefinition of Kubernetes instead, as YAML; with "
           "--sweep the schema of a Sweep, with --gameday that of a GameDay, also with --crd.",
       .options = {{.name = "crd", .help = "print the CustomResourceDefinition for Kubernetes"},
                   {.name = "sweep", .help = "print the schema of a Sweep"},
                   {.name = "gameday", .help = "print the schema of a GameDay"},
                   output_option()},
       .examples = {{"faultline schema > experiment.schema.json",
                     "for the YAML plug-in of an editor"},
                    {"faultline schema --crd | kubectl apply -f -",
                     "so that a cluster knows experiments"}},
       .run = run_schema},
      {.name = "convert",
       .arguments = "FILE...",
       .min_arguments = 1,
       .max_arguments = 1000,
       .summary = "Turn manifests of Chaos Mesh into experiments and game days",
       .detail =
           "NetworkChaos, IOChaos, StressChaos, PodChaos, DNSChaos, KernelChaos and a Schedule of "
           "them; a Workflow, and an experiment of the Chaos Toolkit, becomes a game day. What has "
           "no equivalent is told with file, line, field and what to use instead; "
           "then the exit code is 1. '-' reads the standard input.",
       .options = {{.name = "directory",
                    .letter = 'd',
                    .value = "DIR",
                    .help = "write each experiment into a file here, not to the standard output",
                    .offer = Offer::kFolder},
                   {.name = "strict", .help = "write nothing if anything would be left out"},
                   output_option()},
       .examples = {{"faultline convert network-delay.yaml > experiment.yaml", "one file"},
                    {"faultline convert chaos/*.yaml --directory experiments --strict",
                     "a folder of them, all or nothing"}},
       .offer = Offer::kFile,
       .run = run_convert},
      {.name = "completion",
       .arguments = "SHELL",
       .min_arguments = 1,
       .max_arguments = 1,
       .summary = "Print completion for bash, zsh or fish",
       .options = {output_option()},
       .examples = {{"source <(faultline completion bash)", "for this shell"},
                    {"faultline completion fish > ~/.config/fish/completions/faultline.fish",
                     "for good"}},
       .choices = {"bash", "zsh", "fish"},
       .run = run_completion},
      {.name = "version",
       .summary = "Print the version",
       .options = {output_option()},
       .run = run_version},
  };
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> all = all_commands();
  return all;
}

}  // namespace faultline::cli
