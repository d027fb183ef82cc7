// SPDX-License-Identifier: Apache-2.0
// The words of the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Words, AnUnknownCommandNamesTheNearest) {
  Shell shell;
  EXPECT_EQ(shell.run({"valdate", "x"}), 3);
  EXPECT_EQ(shell.err.str(),
            "faultline: there is no command 'valdate'; did you mean 'validate'?\n");
  EXPECT_EQ(shell.out.str(), "");
  EXPECT_EQ(shell.run({"xyzzy"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("faultline --help"));
}

TEST(Words, AnUnknownOptionNamesTheNearest) {
  Shell shell;
  EXPECT_EQ(shell.run({"run", "x.yaml", "--pod", "p.yaml"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("no option --pod; did you mean --pods?"));
  EXPECT_EQ(shell.run({"nodes", "--contoller=http://x"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("did you mean --controller?"));
  EXPECT_EQ(shell.run({"run", "x.yaml", "-z"}), 3);
  EXPECT_EQ(shell.run({"run", "--words=x"}), 3);
}

TEST(Words, AWrongValueNamesTheValidOnes) {
  Shell shell;
  EXPECT_EQ(shell.run({"get", "--output", "jason"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("--output takes text or json, not 'jason'"));
  EXPECT_EQ(shell.run({"report", "x", "--format", "htm"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("did you mean html?"));
  EXPECT_EQ(shell.run({"completion", "tcsh"}), 3);
  EXPECT_EQ(shell.run({"get", "--kubernetes", "--namespace", "shop\xff"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("--namespace: expected UTF-8"));
}

TEST(Words, MissingSuperfluousAndDoubleWordsAreRefused) {
  Shell shell;
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", "a", "b"},
                                             {"watch"},
                                             {"schema", "x"},
                                             {"run", "a", "--pods"},
                                             {"run", "a", "--pods="},
                                             {"run", "a", "--pods", "b", "--pods", "c"},
                                             {"completion"}}) {
    EXPECT_EQ(shell.run(words), 3) << testing::PrintToString(words);
    EXPECT_THAT(shell.err.str(), HasSubstr("--help' for its words")) << shell.err.str();
  }
}

TEST(Words, AreKeptAsTheyAre) {
  const Command& command = *find_command("run");
  const auto call = parse(command, {"a,b c.yaml", "--pods=x,y=z.yaml", "-y", "-o", "json"});
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_THAT(call->arguments, ElementsAre("a,b c.yaml"));
  EXPECT_EQ(call->get("pods"), "x,y=z.yaml");
  EXPECT_TRUE(call->has("yes"));
  EXPECT_TRUE(call->json());
  EXPECT_FALSE(call->has("report"));
  const auto dashed = parse(command, {"--yes", "--", "--odd-name.yaml"});
  ASSERT_TRUE(dashed) << dashed.error().message;
  EXPECT_THAT(dashed->arguments, ElementsAre("--odd-name.yaml"));
}

TEST(Words, ErrorsForProgramsAreJsonOnTheOutput) {
  Shell shell;
  EXPECT_EQ(shell.run({"get", "--outptu", "--output", "json"}), 3);
  const auto error = shell.json().at("error").as_object();
  EXPECT_EQ(error.at("code"), "invalid");
  EXPECT_EQ(error.at("exitCode"), 3);
  EXPECT_THAT(std::string(error.at("message").as_string()), HasSubstr("--output"));
  EXPECT_EQ(shell.err.str(), "");
}

TEST(Help, IsThereForEachCommandWithItsOptionsAndExamples) {
  Shell shell;
  EXPECT_EQ(shell.run({"--help"}), 0);
  const std::string general = shell.out.str();
  for (const Command& command : commands()) {
    EXPECT_THAT(general, HasSubstr(std::string(command.name)));
    const std::string name(command.name);
    EXPECT_EQ(shell.run({name, "--help"}), 0);
    const std::string help = shell.out.str();
    for (const Option& option : command.options)
      EXPECT_THAT(help, HasSubstr("--" + std::string(option.name)));
    EXPECT_EQ(shell.run({"help", name}), 0);
    EXPECT_EQ(shell.out.str(), help);
    for (const auto& [line, what] : command.examples)
      EXPECT_THAT(help, HasSubstr(std::string(line)));
  }
  EXPECT_EQ(shell.run({}), 3);
}

TEST(Help, OfAVerbIsAsked) {
  Shell shell;
  ASSERT_EQ(shell.run({"gameday", "--help"}), 0);
  const std::string group = shell.out.str();
  const Command& command = *find_command("gameday");
  ASSERT_FALSE(command.verbs.empty());
  for (const Command& verb : command.verbs) {
    const std::string word(verb_word(verb));
    EXPECT_THAT(group, HasSubstr("\n  " + word + " "));
    ASSERT_EQ(shell.run({"gameday", word, "--help"}), 0);
    const std::string help = shell.out.str();
    EXPECT_THAT(help, HasSubstr("usage: faultline gameday " + word));
    for (const Option& option : verb.options)
      EXPECT_THAT(help, HasSubstr("--" + std::string(option.name)));
    EXPECT_EQ(shell.run({"help", "gameday", word}), 0);
    EXPECT_EQ(shell.out.str(), help);
  }
  EXPECT_EQ(shell.run({"gameday"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("'gameday' needs a verb"));
  EXPECT_EQ(shell.run({"gameday", "nott", "x", "y"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("'gameday' has no verb 'nott'; did you mean 'note'?"));
  EXPECT_EQ(shell.run({"gameday", "note", "x"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("'gameday note' needs DAY TEXT"));
  EXPECT_EQ(shell.run({"gameday", "tick", "x", "y", "1", "--faild"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("did you mean --failed?"));
}

TEST(Help, ExamplesAreTrue) {
  std::vector<Command> all(commands().begin(), commands().end());
  for (const Command& command : commands())
    all.insert(all.end(), command.verbs.begin(), command.verbs.end());
  for (const Command& command : all) {
    for (const auto& [line, what] : command.examples) {
      std::istringstream in{std::string(line)};
      std::vector<std::string> words;
      for (std::string word; in >> word && word != ">" && word != "|";)
        if (word != "sudo" && word != "source") words.push_back(word);
      ASSERT_FALSE(words.empty());
      if (words[0] == "<(faultline") words.back().pop_back();  // source <(...)
      const bool verb = command.name != verb_word(command);
      ASSERT_EQ(words.at(1) + (verb ? " " + words.at(2) : ""), command.name) << line;
      const auto call = parse(command, {words.begin() + (verb ? 3 : 2), words.end()});
      EXPECT_TRUE(call) << line << ": " << call.error().message;
    }
  }
}

TEST(Version, IsTold) {
  Shell shell;
  EXPECT_EQ(shell.run({"version"}), 0);
  EXPECT_THAT(shell.out.str(), testing::MatchesRegex("faultline [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_EQ(shell.run({"--version"}), 0);
  EXPECT_EQ(shell.run({"version", "-o", "json"}), 0);
  EXPECT_TRUE(shell.json().contains("version"));
}

}  // namespace
}  // namespace faultline::cli
