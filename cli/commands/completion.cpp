// SPDX-License-Identifier: Apache-2.0
// Shell completion, written from the table of commands.
#include <boost/json.hpp>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

std::string joined(const std::vector<std::string_view>& words) {
  std::string out;
  for (const std::string_view word : words) out += (out.empty() ? "" : " ") + std::string(word);
  return out;
}

// In single quotes, for any of the three shells.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string command_names() {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  return joined(names);
}

std::vector<std::string_view> verbs_of(const Command& command) {
  std::vector<std::string_view> words;
  for (const Command& verb : command.verbs) words.push_back(verb_word(verb));
  return words;
}

// Every command that takes words: verbs in the place of what has them.
std::vector<const Command*> all_callable() {
  std::vector<const Command*> all;
  for (const Command& command : commands()) {
    if (command.verbs.empty()) all.push_back(&command);
    for (const Command& verb : command.verbs) all.push_back(&verb);
  }
  return all;
}

std::string bash_offer(Offer offer, const std::vector<std::string_view>& choices) {
  if (!choices.empty()) return "COMPREPLY=($(compgen -W \"" + joined(choices) + "\" -- \"$cur\"))";
  if (offer == Offer::kFile) return "COMPREPLY=($(compgen -f -- \"$cur\"))";
  if (offer == Offer::kFolder) return "COMPREPLY=($(compgen -d -- \"$cur\"))";
  return "COMPREPLY=()";
}

std::string bash() {
  std::string out =
      "# faultline completion for bash: source <(faultline completion bash)\n"
      "_faultline() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local command=${COMP_WORDS[1]}\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"" +
      command_names() +
      " help\" -- \"$cur\"))\n"
      "    return\n"
      "  fi\n";
  for (const Command& command : commands())
    if (!command.verbs.empty())
      out += "  if [ \"$command\" = " + std::string(command.name) +
             " ]; then\n"
             "    if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
             "      COMPREPLY=($(compgen -W \"" +
             joined(verbs_of(command)) +
             " --help\" -- \"$cur\"))\n"
             "      return\n"
             "    fi\n"
             "    command=\"$command ${COMP_WORDS[2]}\"\n"
             "  fi\n";
  out += "  case \"$command $prev\" in\n";
  for (const Command* each : all_callable()) {
    const Command& command = *each;
    for (const Option& option : command.options) {
      if (option.value.empty()) continue;
      out += "    \"" + std::string(command.name) + " --" + std::string(option.name) + "\"";
      if (option.letter)
        out += " | \"" + std::string(command.name) + " -" + std::string(1, option.letter) + "\"";
      out += ") " + bash_offer(option.offer, option.choices) + "; return ;;\n";
    }
  }
  out += "  esac\n  case \"$command\" in\n";
  for (const Command* each : all_callable()) {
    const Command& command = *each;
    std::string options = "--help";
    for (const Option& option : command.options) options += " --" + std::string(option.name);
    out += "    \"" + std::string(command.name) +
           "\")\n      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"" + options +
           "\" -- \"$cur\"))\n      else " + bash_offer(command.offer, command.choices) +
           "; fi ;;\n";
  }
  return out + "    help) COMPREPLY=($(compgen -W \"" + command_names() +
         "\" -- \"$cur\")) ;;\n  esac\n}\n"
         "complete -o filenames -F _faultline faultline\n";
}

// Brackets and colons part the fields of a specification.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_offer(Offer offer, const std::vector<std::string_view>& choices) {
  if (!choices.empty()) return "(" + joined(choices) + ")";
  if (offer == Offer::kFile) return "_files";
  if (offer == Offer::kFolder) return "_files -/";
  return " ";
}

std::string zsh() {
  std::string out =
      "#compdef faultline\n"
      "# faultline completion for zsh: source <(faultline completion zsh)\n"
      "_faultline() {\n"
      "  local -a commands=(\n";
  for (const Command& command : commands())
    out += "    " + in_quotes(zsh_text(command.name) + ":" + zsh_text(command.summary)) + "\n";
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n";
  for (const Command& command : commands()) {
    if (command.verbs.empty()) continue;
    out += "  if [[ $command == " + std::string(command.name) +
           " ]]; then\n"
           "    local -a verbs=(\n";
    for (const Command& verb : command.verbs)
      out += "      " + in_quotes(zsh_text(verb_word(verb)) + ":" + zsh_text(verb.summary)) + "\n";
    out +=
        "    )\n"
        "    if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
        "    command=\"$command $words[2]\"\n"
        "    shift words\n"
        "    (( CURRENT-- ))\n"
        "  fi\n";
  }
  out += "  case $command in\n";
  for (const Command* each : all_callable()) {
    const Command& command = *each;
    out += "    " + in_quotes(command.name) + ") _arguments";
    for (const Option& option : command.options) {
      std::string spec = "--" + std::string(option.name) + "[" + zsh_text(option.help) + "]";
      if (!option.value.empty())
        spec += ":" + zsh_text(option.value) + ":" + zsh_offer(option.offer, option.choices);
      out += " \\\n        " + in_quotes(spec);
    }
    out += " \\\n        '--help[this text]'";
    if (command.max_arguments > 0)
      out += " \\\n        " + in_quotes("1:" + zsh_text(command.arguments) + ":" +
                                         zsh_offer(command.offer, command.choices));
    out += " ;;\n";
  }
  return out +
         "  esac\n}\n"
         "if [ \"$funcstack[1]\" = _faultline ]; then _faultline \"$@\"; else compdef _faultline "
         "faultline; fi\n";
}

std::string fish() {
  std::string out =
      "# faultline completion for fish: faultline completion fish | source\n"
      "complete -c faultline -f\n";
  for (const Command& command : commands()) {
    out += "complete -c faultline -n __fish_use_subcommand -a " + std::string(command.name) +
           " -d " + in_quotes(command.summary) + "\n";
    if (!command.verbs.empty())
      out += "complete -c faultline -n '__fish_seen_subcommand_from " + std::string(command.name) +
             "; and not __fish_seen_subcommand_from " + joined(verbs_of(command)) + "' -a " +
             in_quotes(joined(verbs_of(command))) + "\n";
  }
  for (const Command* each : all_callable()) {
    const Command& command = *each;
    const std::string_view verb = verb_word(command);
    // A word of both is an option of the verb only behind its command.
    std::string seen = "__fish_seen_subcommand_from " + std::string(verb);
    if (verb != command.name)
      seen = "__fish_seen_subcommand_from " +
             std::string(command.name.substr(0, command.name.size() - verb.size() - 1)) + "; and " +
             seen;
    const std::string when = "complete -c faultline -n '" + seen + "'";
    const auto offer = [](Offer what, const std::vector<std::string_view>& choices) {
      if (!choices.empty()) return " -a " + in_quotes(joined(choices));
      if (what == Offer::kFile) return std::string(" -F");
      if (what == Offer::kFolder) return std::string(" -a '(__fish_complete_directories)'");
      return std::string();
    };
    if (command.max_arguments > 0 && (command.offer != Offer::kNothing || !command.choices.empty()))
      out += when + offer(command.offer, command.choices) + "\n";
    for (const Option& option : command.options) {
      out += when + " -l " + std::string(option.name);
      if (option.letter) out += " -s " + std::string(1, option.letter);
      if (!option.value.empty()) out += " -r" + offer(option.offer, option.choices);
      out += " -d " + in_quotes(option.help) + "\n";
    }
  }
  return out;
}

}  // namespace

Result<int> run_completion(Invocation& call, Console& console) {
  const std::string& shell = call.arguments[0];
  const std::string script = shell == "bash" ? bash() : shell == "zsh" ? zsh() : fish();
  if (call.json())
    print_json(console.out, boost::json::object{{"shell", shell}, {"script", script}});
  else
    console.out << script;
  return kExitMet;
}

}  // namespace faultline::cli
