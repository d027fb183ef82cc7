// SPDX-License-Identifier: Apache-2.0
// What a stranger may send: each is refused within the budget, and what people write means what it
// meant.
#include "document/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "document/yaml_write.h"

namespace faultline::document {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMiB = 1 << 20;

// "line: path: message" of each problem.
std::string problems(std::string_view text, const YamlOptions& options = {}) {
  std::string out;
  for (const Problem& problem : read_yaml(text, options).problems) {
    if (!out.empty()) out += '\n';
    out += std::to_string(problem.line) + ": " + problem.path + ": " + problem.message;
  }
  return out;
}

std::string value(std::string_view text, const YamlOptions& options = {}) {
  const YamlContent content = read_yaml(text, options);
  if (!content.problems.empty()) return "refused: " + content.problems[0].message;
  if (content.documents.empty()) return "empty";
  return boost::json::serialize(content.documents[0].value);
}

std::string repeated(std::string_view text, std::size_t bytes) {
  std::string out;
  while (out.size() + text.size() <= bytes) out += text;
  return out;
}

std::string numbered(std::size_t bytes, const std::function<std::string(std::size_t)>& line) {
  std::string out;
  for (std::size_t i = 0; out.size() + 40 < bytes; ++i) out += line(i);
  return out;
}

TEST(Yaml, ScalarsAreThoseOfTheCoreSchema) {
  EXPECT_EQ(value("[null, ~, Null, '', \"\", , x]"),
            "refused: not valid YAML: did not find expected "
            "node content");
  EXPECT_EQ(value("[null, ~, '', x]"), R"([null,null,"","x"])");
  EXPECT_EQ(value("[true, False, yes, on, 'true']"), R"([true,false,"yes","on","true"])");
  EXPECT_EQ(value("[1, +2, -3, 18446744073709551615, 0x10, 1_0]"),
            R"([1,2,-3,18446744073709551615,"0x10","1_0"])");
  EXPECT_EQ(value("[1.5, .5, -2e3, inf, .nan, 1e999]"),
            R"([1.5E0,5E-1,-2E3,"inf",".nan","1e999"])");
  EXPECT_EQ(value("[!!str 1, !!int \"1\", ! 1, \"1\"]"), R"(["1",1,"1","1"])");
  EXPECT_EQ(value("a: |\n  x\n  y\nb: >\n  x\n  y\nc:\n"),
            R"({"a":"x\ny\n","b":"x y\n","c":null})");
  EXPECT_EQ(value("[1.10, true, ~]", {{}, 1, true}), R"(["1.10","true",null])");
}

TEST(Yaml, JsonIsRead) {
  EXPECT_EQ(value("{\"a\":{\"b\":[1,\"x\\u00e9\\/\",null]},\n\t\"c\":true}"),
            "{\"a\":{\"b\":[1,\"x\xc3\xa9/\",null]},\"c\":true}");
}

TEST(Yaml, WhatJsonWritesAsAPairOfEscapesIsOneCharacter) {
  EXPECT_EQ(value(R"({"a": "x\ud83d\ude00y\u00e9", "b\uD83D\uDE00": ["\\ud83d\\ude00"]})"),
            "{\"a\":\"x\U0001F600y\u00e9\",\"b\U0001F600\":[\"\\\\ud83d\\\\ude00\"]}");
  // Half a pair is none, and YAML that is no JSON means what it meant.
  EXPECT_THAT(problems(R"({"a": "\ud83d"})"), HasSubstr("not valid YAML"));
  EXPECT_THAT(problems(R"({"a": "\ude00\ud83d"})"), HasSubstr("not valid YAML"));
  EXPECT_THAT(problems(R"({"a": "\ud83d\u)"), HasSubstr("not valid YAML"));
  EXPECT_EQ(value(R"({a: '\ud83d\ude00'})"), R"({"a":"\\ud83d\\ude00"})");
}

TEST(Yaml, LinesAreThoseOfKeysAndValues) {
  const YamlContent content =
      read_yaml("\n# words\na:\n  b:\n  - 1\n  -\n  c d: x\ne: {f: 1}\n", {});
  ASSERT_EQ(content.documents.size(), 1U);
  const auto at = [&](std::string_view path) {
    const Lines lines = content.documents[0].lines.find(path);
    return std::pair(lines.key, lines.value);
  };
  EXPECT_EQ(at(""), std::pair(3, 3));
  EXPECT_EQ(at("a"), std::pair(3, 4));
  EXPECT_EQ(at("a.b"), std::pair(4, 5));
  EXPECT_EQ(at("a.b[0]"), std::pair(5, 5));
  EXPECT_EQ(at("a.b[1]"), std::pair(6, 6));
  EXPECT_EQ(at("a[\"c d\"]"), std::pair(7, 7));
  EXPECT_EQ(at("e.f"), std::pair(8, 8));
  EXPECT_EQ(at("nothing"), std::pair(0, 0));
}

TEST(Yaml, ASecondDocumentIsRefusedWithItsLine) {
  EXPECT_EQ(problems("---\na: 1\n---\nb: 2\n"), "3: : expected one document, a second begins here");
  EXPECT_EQ(problems("a: 1\n...\n"), "");
  EXPECT_THAT(problems("{} {}"), HasSubstr("not valid YAML"));
  const auto two = read_documents("---\n---\na: 1\n---\n# nothing\n--- b\n", "f", {{}, 9, false});
  ASSERT_TRUE(two) << two.error().message;
  ASSERT_EQ(two->size(), 2U);
  EXPECT_EQ(two->at(0).line("a"), 3);
  EXPECT_EQ(two->at(1).line(""), 6);
  EXPECT_EQ(problems("--- 1\n--- 2\n--- 3\n", {{}, 2, false}), "3: : more than 2 documents");
}

TEST(Yaml, WhatHasNoMeaningHereIsRefusedWithItsPlace) {
  EXPECT_EQ(problems("a: &x 1\nb:\n - *x\n"),
            "3: b[0]: aliases like \"*x\" are not supported: write it out");
  EXPECT_EQ(problems("*x : 1"), "1: : aliases like \"*x\" are not supported: write it out");
  EXPECT_EQ(problems("a: &x [*x]"), "1: a[0]: aliases like \"*x\" are not supported: write it out");
  EXPECT_EQ(problems("a: &x 1"), "") << "a name alone is harmless";
  EXPECT_EQ(problems("a: !foo 1\nb: !foo {}\n"),
            "1: a: tags like \"!foo\" have no meaning here\n"
            "2: b: tags like \"!foo\" have no meaning here");
  EXPECT_EQ(problems("a:\n  ? [b]\n  : 1\n"), "2: a: keys must be plain words");
  EXPECT_EQ(problems("? {a: b}\n: 1\n"), "1: : keys must be plain words");
  EXPECT_EQ(problems("a:\n  b: 1\n  c: 2\n  b: {d: 3}\n"),
            "4: a.b: key is given twice, first on line 2");
}

TEST(Yaml, ADuplicateChangesNothing) {
  const YamlContent content = read_yaml("a: 1\na: [2, {a: 3}]\nb: 4\n", {});
  ASSERT_EQ(content.documents.size(), 1U);
  EXPECT_EQ(boost::json::serialize(content.documents[0].value), R"({"a":1,"b":4})");
  EXPECT_TRUE(content.complete);
}

TEST(Yaml, TheBudgetEndsTheReadingAtTheFirstValueBeyondIt) {
  YamlOptions options;
  options.budget = {100, 5, 3};
  EXPECT_EQ(problems(std::string(101, ' '), options), "0: : the document is larger than 100 bytes");
  EXPECT_EQ(problems("[1, 2, 3, 4]", options), "");
  EXPECT_EQ(problems("[1, 2, 3,\n 4, 5]", options), "2: [4]: more than 5 values");
  EXPECT_EQ(problems("[[[1]]]", options), "");
  EXPECT_EQ(problems("a:\n - - - 1\n", options), "2: a[0][0][0]: nested more than 3 deep")
      << "scalars count";
  EXPECT_THAT(problems(std::string(2 * kMiB, ' ')), HasSubstr("larger than 1 MiB"));
}

TEST(Yaml, BytesThatAreNoTextAreRefusedWithTheirLine) {
  EXPECT_EQ(problems("a: 1\nb: \xff\n").substr(0, 18), "2: : not valid YAM");
  EXPECT_THAT(problems("a: \xc0\xaf"), HasSubstr("not valid YAML"));      // overlong
  EXPECT_THAT(problems("a: \xed\xa0\x80"), HasSubstr("not valid YAML"));  // a surrogate
  EXPECT_THAT(problems(std::string("a: \0b", 5)), HasSubstr("not valid YAML"));
  EXPECT_THAT(problems("a: \x1b[2J"), HasSubstr("not valid YAML"));
  EXPECT_THAT(problems("a: \"\\ud800\""), HasSubstr("not valid YAML"));
  EXPECT_THAT(problems("\xff\xfe"
                       "a\0"),
              HasSubstr("not valid YAML"))
      << "no guess at UTF-16";
  EXPECT_EQ(value("\xef\xbb\xbf"
                  "a: 1"),
            R"({"a":1})")
      << "a byte order mark of UTF-8 is taken";
}

TEST(Yaml, ProblemsAreCountedAndEndTheReading) {
  const YamlContent content = read_yaml(repeated("a: 1\n", kMiB), {});
  EXPECT_FALSE(content.complete);
  EXPECT_LE(content.problems.size(), 21U);
  EXPECT_THAT(content.problems.back().message, HasSubstr("too many problems"));
}

TEST(Yaml, MessagesHoldNoForeignControlCharacters) {
  for (const char* text : {"\"a\\e[2J\\n\": 1\n\"a\\e[2J\\n\": 2\n", "a: !<x%1b%0a> 1\n",
                           "\"\\u202e\": 1\n\"\\u202e\": *x\n"})
    for (const Problem& problem : read_yaml(text, {}).problems)
      for (const char c : problem.path + problem.message) {
        EXPECT_GE(static_cast<unsigned char>(c), 0x20) << text;
        EXPECT_LT(static_cast<unsigned char>(c), 0x7f) << text;
      }
}

TEST(Yaml, WhatIsWrittenIsReadBackTheSame) {
  boost::json::object value{
      {"plain", "words of a sentence, with (signs) - and #"},
      {"empty", ""},
      {"", "key"},
      {"numbers", boost::json::array{1, -2, 0.1, 1e300, 18446744073709551615U}},
      {"nothing", nullptr},
      {"bools", boost::json::array{true, false}},
      {"map", boost::json::object{}},
      {"list", boost::json::array{}},
      {"nested", boost::json::array{boost::json::array{1}, boost::json::object{{"a", "b"}}}}};
  for (const char* text : {"true",
                           "No",
                           "~",
                           "1",
                           "0x1",
                           "1e3",
                           ".5",
                           "null",
                           "a: b",
                           "a #b",
                           "a:",
                           "- a",
                           "[a]",
                           "{a",
                           "*a",
                           "&a",
                           "!a",
                           "|",
                           "x\ny",
                           "x\n",
                           " x",
                           "x ",
                           "\t",
                           "'",
                           "\"",
                           "\\",
                           "%a",
                           "@",
                           "`",
                           "\x1b[2J",
                           "\xc3\xa9t\xc3\xa9",
                           "\xe2\x80\xae",
                           "\xf0\x9f\x98\x80",
                           "=",
                           "<<",
                           "---",
                           "y",
                           "1.10",
                           "2026-01-01"})
    value[std::string("of ") + text] = text;
  value["long"] = std::string(5000, 'x') + " " + std::string(5000, 'y');
  const std::string text = write_yaml(value);
  const YamlContent content = read_yaml(text, {});
  ASSERT_EQ(problems(text), "") << text;
  EXPECT_EQ(content.documents.at(0).value, boost::json::value(value)) << text;
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << text;
  EXPECT_EQ(write_yaml({{"a", "caf\xc3\xa9"}, {"b", boost::json::array{"x", "yes"}}}),
            "a: caf\xc3\xa9\nb:\n- x\n- \"yes\"\n");
}

// One mebibyte of each. Times here are generous: what the old reader took was minutes, or no end.
struct Hostile {
  const char* name;
  std::string text;
};

std::vector<Hostile> hostile() {
  const auto n = [](std::size_t i) { return std::to_string(i); };
  return {
      {"one comma", ","},
      {"commas", repeated(",", kMiB)},
      {"commas in a list", "[" + repeated(",", kMiB - 1)},
      {"nulls in a list", "[" + repeated("~,", kMiB - 1)},
      {"open lists", repeated("[", kMiB)},
      {"open maps", repeated("{", kMiB)},
      {"open maps with keys", repeated("{a: ", kMiB)},
      {"question marks", repeated("? ", kMiB)},
      {"question marks in a map", "{" + repeated("? ", kMiB - 1)},
      {"colons in a map", "{" + repeated(":", kMiB - 1)},
      {"colons", repeated(": ", kMiB)},
      {"dashes", repeated("- ", kMiB)},
      {"an alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"},
      {"an alias of a large text",
       "a: &a " + repeated("x", kMiB / 2) + "\nb: [" + repeated("*a,", kMiB / 2 - 20) + "]\n"},
      {"an alias of itself", "&a [*a]"},
      {"anchors", numbered(kMiB, [&](auto i) { return "- &a" + n(i) + " x\n"; })},
      {"a long text", "a: " + repeated("x", kMiB - 3)},
      {"a long quoted text that does not end", "\"" + repeated("a", kMiB - 1)},
      {"a long text of words", "a: " + repeated("b c ", kMiB - 3)},
      {"a long text of lines", "a: " + repeated("b\n ", kMiB - 3)},
      {"a long block", "a: |\n" + repeated("  x\n", kMiB - 5)},
      {"a long block that is folded", "a: >\n" + repeated("  x\n\n", kMiB - 5)},
      {"a long key", repeated("k", kMiB - 4) + ": 1"},
      {"a long quoted key", "{\"" + repeated("k", kMiB - 7) + "\": 1}"},
      {"one key again and again", repeated("a: 1\n", kMiB)},
      {"two keys again and again", repeated("a: 1\nb: 2\n", kMiB)},
      {"keys", numbered(kMiB, [&](auto i) { return "k" + n(i) + ": 1\n"; })},
      {"keys in a line", "{" + numbered(kMiB, [&](auto i) { return "k" + n(i) + ": 1,"; }) + "}"},
      {"keys in a line without a value", "{" + repeated("k,", kMiB - 2) + "}"},
      {"deep and wide with long keys",
       [] {
         std::string text;
         for (int i = 0; i < 62; ++i) text += "{\"" + std::string(59, 'k') + "\": ";
         return text + "[" + repeated("1,", kMiB - text.size() - 1);
       }()},
      {"newlines", repeated("\n", kMiB)},
      {"carriage returns", repeated("\r", kMiB)},
      {"tabs", repeated("\t", kMiB)},
      {"blanks", repeated(" ", kMiB)},
      {"deeper and deeper",
       [] {
         std::string text;
         for (std::size_t i = 0; text.size() + i + 4 < kMiB; ++i)
           text += std::string(i, ' ') + "a:\n";
         return text;
       }()},
      {"comments", repeated("#\n", kMiB)},
      {"escapes", "\"" + repeated("\\x41", kMiB - 2) + "\""},
      {"escaped line breaks", "\"" + repeated("\\\n", kMiB - 2) + "\""},
      {"bytes that are no UTF-8", repeated("\xff", kMiB)},
      {"half characters", "a: \"" + repeated("\xe2\x80", kMiB - 4)},
      {"zero bytes", std::string(kMiB, '\0')},
      {"escaped zero bytes", "\"" + repeated("\\0", kMiB - 2) + "\""},
      {"tag directives",
       numbered(kMiB, [&](auto i) { return "%TAG !a" + n(i) + "! x\n"; }) + "--- a\n"},
      {"tag directives after other line breaks",
       numbered(kMiB, [&](auto i) { return "%TAG !a" + n(i) + "! x\r"; }) + "--- a\n"},
      {"directives nobody knows", repeated("%FOO bar\n", kMiB)},
      {"a long tag", "!" + repeated("a", kMiB - 3) + " x"},
      {"a long verbatim tag", "!<" + repeated("a", kMiB - 6) + "> x"},
      {"tags", "[" + repeated("!a x,", kMiB - 1)},
      {"documents", repeated("---\n", kMiB)},
      {"documents of a word", repeated("--- a\n", kMiB)},
      {"an anchor of everything", "&" + repeated("a", kMiB - 3) + " x"},
      {"a list of empty lists", "[" + repeated("[],", kMiB - 1)},
      {"a list of empty maps", "[" + repeated("{},", kMiB - 1)},
      {"pairs in a list", "[" + repeated("a: b,", kMiB - 1)},
      {"a number of a million digits", "a: " + repeated("9", kMiB - 3)},
      {"a fraction of a million digits", "a: 0." + repeated("1", kMiB - 5)},
      {"merge keys", repeated("<<: {a: 1}\n", kMiB)},
      {"quotes", repeated("''", kMiB)},
      {"bars", repeated("|\n", kMiB)},
      {"percent signs", repeated("%\n", kMiB)},
  };
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Kilobytes that /proc/self/status says of this process: VmRSS, VmHWM.
double kilobytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1));
  return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // the sanitizer keeps what is freed
#else
constexpr bool kMemoryIsOurs = true;
#endif

TEST(Yaml, NoMebibyteTakesLongOrMuch) {
  for (const Hostile& one : hostile()) {
    SCOPED_TRACE(one.name);
    ASSERT_LE(one.text.size(), kMiB + 10);
    for (const std::size_t documents : {std::size_t{1}, std::size_t{1000}}) {
      malloc_trim(0);
      std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM begins anew
      const double before = kilobytes("VmRSS"), begin = cpu_seconds();
      YamlOptions options;
      options.budget.bytes = 2 * kMiB;
      options.documents = documents;
      const YamlContent content = read_yaml(one.text, options);
      const double took = cpu_seconds() - begin;
      const double more = (kilobytes("VmHWM") - before) / 1024;
      EXPECT_LT(took, 5.0);
      if (kMemoryIsOurs) {
        EXPECT_LT(more, 64);
      }
      EXPECT_LE(content.problems.size(), 21U);
      if (std::getenv("FAULTLINE_MEASURE") != nullptr)
        std::printf("%-40s %4zu documents %7.3f s %6.1f MiB  %s\n", one.name, documents, took, more,
                    content.problems.empty() ? "read" : content.problems[0].message.c_str());
    }
  }
}

}  // namespace
}  // namespace faultline::document
