// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>

#include "api/codec.h"
#include "cli/cluster/choice.h"
#include "cli/command.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

std::string signature(const Option& option) {
  std::string out = option.letter ? "-" + std::string(1, option.letter) + ", " : "    ";
  out += "--" + std::string(option.name);
  if (!option.choices.empty()) {
    std::string words;
    for (const std::string_view word : option.choices)
      words += (words.empty() ? " " : "|") + std::string(word);
    return out + words;
  }
  return option.value.empty() ? out : out + " " + std::string(option.value);
}

// The person asked for JSON if the words say so, even where they cannot be parsed.
bool wants_json(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--output=json" || words[i] == "-ojson" || words[i] == "-o=json") return true;
    if ((words[i] == "--output" || words[i] == "-o") && i + 1 < words.size() &&
        words[i + 1] == "json")
      return true;
  }
  return false;
}

}  // namespace

Option output_option() {
  return {.name = "output",
          .letter = 'o',
          .value = "FORM",
          .help = "for people (text, the default) or for programs (json)",
          .choices = {"text", "json"}};
}

std::vector<Option> controller_options() {
  return {{.name = "controller",
           .value = "URL",
           .help = "the controller; else $FAULTLINE_CONTROLLER, else http://127.0.0.1:7878"},
          {.name = "token-file",
           .value = "FILE",
           .help = "file with the token for people; else $FAULTLINE_TOKEN_FILE",
           .offer = Offer::kFile}};
}

std::vector<Option> with_controller(std::vector<Option> own) {
  for (Option& option : controller_options()) own.push_back(std::move(option));
  for (Option& option : cluster_options()) own.push_back(std::move(option));
  own.push_back(output_option());
  return own;
}

const Command* find_command(std::string_view name) {
  const auto all = commands();
  const auto it = std::ranges::find(all, name, &Command::name);
  return it == all.end() ? nullptr : &*it;
}

std::string_view verb_word(const Command& command) {
  const std::size_t blank = command.name.rfind(' ');
  return blank == command.name.npos ? command.name : command.name.substr(blank + 1);
}

std::string general_help() {
  std::string out =
      "Breaks a pod on purpose, measures what that did, and leaves nothing behind.\n\n"
      "usage: faultline COMMAND [ARGUMENTS] [OPTIONS]\n\ncommands:\n";
  std::vector<Row> rows;
  for (const Command& command : commands())
    rows.push_back({std::string(command.name) + " " + std::string(command.arguments),
                    std::string(command.summary)});
  out += table(rows, 2);
  return out +
         "\nexit codes: 0 expectations met; 1 one missed; 2 the fault was not real, or only in "
         "part;\n"
         "            3 bad input; 4 aborted; 5 could not run\n"
         "\n'faultline COMMAND --help' has the options and examples of a command.\n";
}

std::string command_help(const Command& command) {
  std::string out =
      std::string(command.summary) + ".\n\nusage: faultline " + std::string(command.name) +
      (command.arguments.empty() ? "" : " " + std::string(command.arguments)) + " [OPTIONS]\n";
  for (const std::string& paragraph : split_lines(command.detail))
    out += "\n" + wrapped(paragraph, 96, 0) + "\n";
  std::vector<Row> rows;
  for (const Command& verb : command.verbs)
    rows.push_back({std::string(verb_word(verb)) + " " + std::string(verb.arguments),
                    std::string(verb.summary)});
  if (!rows.empty())
    return out + "\nverbs:\n" + table(rows, 2) + "\n'faultline " + std::string(command.name) +
           " VERB --help' has the options and examples of a verb.\n";
  for (const Option& option : command.options)
    rows.push_back({signature(option), std::string(option.help)});
  rows.push_back({"-h, --help", "this text"});
  out += "\noptions:\n" + table(rows, 2);
  if (!command.examples.empty()) out += "\nexamples:\n";
  for (const auto& [line, what] : command.examples)
    out += "  # " + std::string(what) + "\n  " + std::string(line) + "\n";
  return out;
}

namespace {

// The verb of `command` that `rest` begins with, which is taken from it; the command itself where
// help is asked for.
Result<const Command*> verb_of(const Command& command, std::vector<std::string>& rest) {
  if (!rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) return &command;
  const std::string hint =
      "\nrun 'faultline " + std::string(command.name) + " --help' for its words";
  if (rest.empty())
    return fail(Errc::kInvalid, "'" + std::string(command.name) + "' needs a verb" + hint);
  std::vector<std::string_view> verbs;
  for (const Command& verb : command.verbs) {
    verbs.push_back(verb_word(verb));
    if (verbs.back() != rest[0]) continue;
    rest.erase(rest.begin());
    return &verb;
  }
  const std::string near = api::nearest_word(rest[0], verbs);
  return fail(Errc::kInvalid, "'" + std::string(command.name) + "' has no verb '" + rest[0] + "'" +
                                  (near.empty() ? hint : "; did you mean '" + near + "'?"));
}

}  // namespace

int run_cli(const std::vector<std::string>& words, Console& console) {
  const bool json = wants_json(words);
  const auto refuse = [&](const Error& error, const std::vector<std::string>& documents) {
    print_error(console, error, json, documents);
    return exit_code_of(error.code);
  };
  if (words.empty()) {
    console.err << general_help();
    return kExitBadInput;
  }
  std::string name = words.front();
  std::vector<std::string> rest(words.begin() + 1, words.end());
  if (name == "--version" || name == "-V") name = "version";
  if (name == "help" && !rest.empty()) {
    name = rest.front();
    rest.erase(rest.begin());
    rest.resize(std::min<std::size_t>(rest.size(), 1));
    const Command* of = find_command(name);
    if (of == nullptr || of->verbs.empty()) rest.clear();
    rest.push_back("--help");
  }
  if (name == "--help" || name == "-h" || name == "help") {
    console.out << general_help();
    return kExitMet;
  }
  const Command* command = find_command(name);
  if (!command) {
    std::vector<std::string_view> names;
    for (const Command& known : commands()) names.push_back(known.name);
    const std::string near = api::nearest_word(name, names);
    const std::string what =
        name.starts_with('-') ? "a command must come first, not option " : "there is no command ";
    return refuse({Errc::kInvalid,
                   what + "'" + name + "'" +
                       (near.empty() ? "; run 'faultline --help' for the list"
                                     : "; did you mean '" + near + "'?"),
                   0},
                  {});
  }
  if (!command->verbs.empty()) {
    const auto verb = verb_of(*command, rest);
    if (!verb) return refuse(verb.error(), {});
    command = *verb;
  }
  auto call = parse(*command, rest);
  if (!call) return refuse(call.error(), {});
  if (call->has("help")) {
    console.out << command_help(*command);
    return kExitMet;
  }
  const auto code = command->run(*call, console);
  console.out.flush();
  return code ? *code : refuse(code.error(), call->documents);
}

}  // namespace faultline::cli
