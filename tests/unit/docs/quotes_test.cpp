// SPDX-License-Identifier: Apache-2.0
// What documents quote must be in the code, and what they name must exist.
//
// A quotation is a fenced block after a line `<!-- quote: path -->`. A line `...` stands for code
// that was left out.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/places.h"

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = faultline::test::source_dir();

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Quote {
  std::string document, file;
  int line = 0;
  std::vector<std::string> parts;  // between lines `...`
};

std::vector<Quote> quotes_of(const fs::path& document) {
  static const std::regex kMarker("<!-- quote: (.+) -->");
  std::vector<Quote> quotes;
  std::ifstream in(document);
  std::string line;
  std::smatch found;
  for (int number = 1; std::getline(in, line); ++number) {
    if (!std::regex_match(line, found, kMarker)) continue;
    Quote quote{document.filename(), found[1], number, {""}};
    std::getline(in, line);  // the fence
    ++number;
    for (; std::getline(in, line) && !line.starts_with("```"); ++number) {
      if (line == "...")
        quote.parts.emplace_back();
      else
        quote.parts.back() += line + "\n";
    }
    ++number;
    quotes.push_back(std::move(quote));
  }
  return quotes;
}

std::vector<fs::path> documents() {
  std::vector<fs::path> found{kRoot / "README.md", kRoot / "CONTRIBUTING.md"};
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "docs"))
    if (entry.path().extension() == ".md") found.push_back(entry.path());
  return found;
}

TEST(Documents, QuoteTheCodeAsItIs) {
  std::size_t checked = 0;
  for (const fs::path& document : documents())
    for (const Quote& quote : quotes_of(document)) {
      const std::string code = text_of(kRoot / quote.file);
      ASSERT_FALSE(code.empty()) << quote.document << ":" << quote.line << ": no " << quote.file;
      std::size_t from = 0;
      for (const std::string& part : quote.parts) {
        ASSERT_FALSE(part.empty());
        const std::size_t at = code.find(part, from);
        EXPECT_NE(at, std::string::npos) << quote.document << ":" << quote.line << ": "
                                         << quote.file << " no longer has, in this order:\n"
                                         << part;
        if (at != std::string::npos) from = at + part.size();
        ++checked;
      }
    }
  EXPECT_GE(checked, 9U) << "docs/adding-a-fault.md quotes more than this";
}

// `docs/report.md`, [text](docs/report.md): a path in code marks or a link, with a known ending.
TEST(Documents, NameOnlyFilesThatExist) {
  static const std::regex kPath(
      R"((?:`|\]\()((?:agent|api|base|bench|bpf|cli|controller|demo|docs|http|report|scripts|testbed|tests)/[A-Za-z0-9_./-]+\.(?:md|h|cpp|c|txt|yaml|json|html))(?:`|\)))");
  for (const fs::path& document : documents()) {
    const std::string text = text_of(document);
    for (std::sregex_iterator it(text.begin(), text.end(), kPath), end; it != end; ++it)
      EXPECT_TRUE(fs::exists(kRoot / (*it)[1].str()))
          << document.filename() << " names " << (*it)[1] << ", which does not exist";
  }
}

}  // namespace
