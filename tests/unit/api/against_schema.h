// SPDX-License-Identifier: Apache-2.0
// A JSON Schema of ours against a validator that is not ours (schema_check.py).
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "api/budgets.h"
#include "api/detail/yaml.h"
#include "tests/places.h"

namespace faultline::api {

// Collects documents and whether each is to be valid; run() asks the validator once for all.
class SchemaCheck {
 public:
  explicit SchemaCheck(boost::json::value schema) : schema_(std::move(schema)) {}

  void text(std::string_view yaml, bool valid) {
    detail::SourceMap map;
    detail::Problems problems;
    boost::json::value document;
    EXPECT_TRUE(detail::read_yaml(yaml, kGameDayBudget, document, map, problems)) << yaml;
    value(std::move(document), valid);
  }
  void value(boost::json::value document, bool valid) {
    documents_.push_back(std::move(document));
    expected_ += valid ? '1' : '0';
  }
  void run() {
    if (std::system("python3 -c 'import jsonschema' 2>/dev/null") != 0)
      GTEST_SKIP() << "needs python3-jsonschema (scripts/setup test)";
    const auto file = std::filesystem::temp_directory_path() /
                      ("fl-schema-" + std::to_string(getpid()) + ".json");
    std::ofstream(file) << boost::json::serialize(
        boost::json::object{{"schema", schema_}, {"documents", documents_}});
    const std::string command = "python3 '" +
                                (test::source_dir() / "tests/unit/api/schema_check.py").string() +
                                "' '" + file.string() + "'";
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string answer(documents_.size() + 8, '\0');
    const char* line = std::fgets(answer.data(), static_cast<int>(answer.size()), pipe);
    const int status = pclose(pipe);
    std::filesystem::remove(file);
    ASSERT_EQ(status, 0);
    ASSERT_NE(line, nullptr);
    EXPECT_EQ(std::string(line), expected_ + "\n");
  }

 private:
  boost::json::value schema_;
  boost::json::array documents_;
  std::string expected_;
};

}  // namespace faultline::api
