// SPDX-License-Identifier: Apache-2.0
// File names hold commas, and cxxopts would split a list of words at them.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <algorithm>
#include <cxxopts.hpp>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/command.h"

namespace faultline::cli {
namespace {

// cxxopts wants a name for arguments, which a person then could type as an option.
constexpr const char* kPositional = "words";

std::string hint(std::string_view word, const std::vector<std::string_view>& valid,
                 std::string_view prefix = "") {
  const std::string near = api::nearest_word(word, valid);
  return near.empty() ? "" : "; did you mean " + std::string(prefix) + near + "?";
}

std::string list(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

Error usage_error(const Command& command, const std::string& message) {
  return {Errc::kInvalid,
          message + "\nrun 'faultline " + std::string(command.name) + " --help' for its words", 0};
}

Error unknown_option(const Command& command, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  std::vector<std::string_view> names{"help", "output"};
  for (const Option& option : command.options) names.push_back(option.name);
  const std::size_t dashes = std::min(name.find_first_not_of('-'), name.size());
  return usage_error(command, "'" + std::string(command.name) + "' has no option " +
                                  std::string(name) + hint(name.substr(dashes), names, "--"));
}

// Values and counts that cxxopts does not check.
Result<> check(const Command& command, const Invocation& call) {
  for (const Option& option : command.options) {
    const auto value = call.get(option.name);
    if (!value || option.value.empty()) continue;
    if (value->empty())
      return fail(usage_error(command, "--" + std::string(option.name) + " needs a value"));
    if (option.name == "namespace" && !is_utf8(*value))
      return fail(usage_error(command, "--namespace: expected UTF-8"));
    if (!option.choices.empty() &&
        std::ranges::find(option.choices, *value) == option.choices.end())
      return fail(usage_error(command, "--" + std::string(option.name) + " takes " +
                                           list(option.choices) + ", not '" + *value + "'" +
                                           hint(*value, option.choices)));
  }
  const std::size_t given = call.arguments.size();
  if (given < command.min_arguments)
    return fail(usage_error(
        command, "'" + std::string(command.name) + "' needs " + std::string(command.arguments)));
  if (given > command.max_arguments)
    return fail(usage_error(
        command, "'" + std::string(command.name) + "' takes " +
                     (command.arguments.empty() ? "no argument" : std::string(command.arguments)) +
                     " and no further '" + call.arguments[command.max_arguments] + "'"));
  if (given > 0 && !command.choices.empty() &&
      std::ranges::find(command.choices, call.arguments[0]) == command.choices.end())
    return fail(usage_error(command, "'" + std::string(command.name) + "' takes " +
                                         list(command.choices) + ", not '" + call.arguments[0] +
                                         "'" + hint(call.arguments[0], command.choices)));
  return {};
}

Result<Invocation> parse_words(const Command& command, const std::vector<std::string>& words) {
  cxxopts::Options parser("faultline");
  parser.allow_unrecognised_options();
  auto add = parser.add_options();
  for (const Option& option : command.options) {
    const std::string name =
        (option.letter ? std::string(1, option.letter) + "," : "") + std::string(option.name);
    if (option.value.empty())
      add(name, "");
    else
      add(name, "", cxxopts::value<std::string>());
  }
  add("h,help", "");
  add(kPositional, "", cxxopts::value<std::vector<std::string>>());
  parser.parse_positional({kPositional});

  std::vector<const char*> argv{"faultline"};
  for (const std::string& word : words) {
    if (word == "--words" || word.starts_with("--words="))
      return fail(unknown_option(command, word));
    argv.push_back(word.c_str());
  }
  const auto result = parser.parse(static_cast<int>(argv.size()), argv.data());
  if (!result.unmatched().empty()) return fail(unknown_option(command, result.unmatched().front()));

  Invocation call;
  call.command = &command;
  if (result.count("help")) call.options["help"] = "";
  for (const Option& option : command.options) {
    const std::string name(option.name);
    if (result.count(name) == 0) continue;
    if (result.count(name) > 1 && !option.value.empty())
      return fail(usage_error(command, "--" + name + " is given twice"));
    call.options[name] = option.value.empty() ? "" : result[name].as<std::string>();
  }
  if (result.count(kPositional))
    call.arguments = result[kPositional].as<std::vector<std::string>>();
  return call;
}

}  // namespace

Result<Invocation> parse(const Command& command, const std::vector<std::string>& words) {
  Result<Invocation> call;
  try {
    call = parse_words(command, words);
  } catch (const cxxopts::exceptions::exception& e) {
    return fail(usage_error(command, e.what()));
  }
  if (!call || call->has("help")) return call;
  if (auto good = check(command, *call); !good) return fail(good.error());
  return call;
}

}  // namespace faultline::cli
