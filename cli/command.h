// SPDX-License-Identifier: Apache-2.0
// A command of `faultline`: what it is called, what it takes, and the function that does it. Help,
// parsing, suggestions and shell completion all come from this one description.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/console.h"

namespace faultline::cli {

// What a shell offers where a value is expected.
enum class Offer { kNothing, kFile, kFolder };

struct Option {
  std::string_view name;                  // "pods" for --pods
  char letter = 0;                        // 'y' for -y, or none
  std::string_view value;                 // "FILE"; empty: a switch without a value
  std::string_view help;                  // one line
  std::vector<std::string_view> choices;  // the only values there are; empty: any
  Offer offer = Offer::kNothing;
};

struct Command;

// One call of a command, as parsed.
struct Invocation {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
  std::map<std::string, std::string, std::less<>> options;  // a given switch has the value ""
  // The files of people that were read: errors that begin with such a name need no other prefix.
  std::vector<std::string> documents;

  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
  [[nodiscard]] std::optional<std::string> get(std::string_view option) const {
    const auto it = options.find(option);
    return it == options.end() ? std::nullopt : std::optional(it->second);
  }
  [[nodiscard]] bool json() const { return get("output") == "json"; }
};

struct Command {
  std::string_view name;
  std::string_view arguments;  // "FILE", "[NAME]"
  std::size_t min_arguments = 0, max_arguments = 0;
  std::string_view summary;  // one line, in the list of commands
  std::string_view detail;   // paragraphs, in the command's help
  std::vector<Option> options;
  std::vector<std::pair<std::string_view, std::string_view>> examples;  // command line, what for
  std::vector<std::string_view> choices;  // of the first argument; empty: any
  Offer offer = Offer::kNothing;          // for arguments
  // Returns the exit code. An Error is printed by the caller and becomes one.
  Result<int> (*run)(Invocation&, Console&) = nullptr;
  // Commands of their own that the first word chooses among, with full names ("gameday note"); then
  // this one has no arguments, options and function.
  std::vector<Command> verbs{};
};

// In the order of the help.
[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] const Command* find_command(std::string_view name);
// "note" of "gameday note"; the name of a command that is no verb of another.
[[nodiscard]] std::string_view verb_word(const Command& command);

// The whole program: `words` without the program's name.
[[nodiscard]] int run_cli(const std::vector<std::string>& words, Console& console);

// What is not a word of ours is kInvalid and names the nearest word.
[[nodiscard]] Result<Invocation> parse(const Command& command,
                                       const std::vector<std::string>& words);

[[nodiscard]] std::string general_help();
[[nodiscard]] std::string command_help(const Command& command);

// Options that several commands share.
[[nodiscard]] Option output_option();
[[nodiscard]] std::vector<Option> controller_options();  // --controller, --token-file
[[nodiscard]] std::vector<Option> with_controller(std::vector<Option> own);

}  // namespace faultline::cli
