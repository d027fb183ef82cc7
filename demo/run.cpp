// SPDX-License-Identifier: Apache-2.0
#include "demo/run.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "api/codec.h"
#include "demo/program.h"
#include "demo/words.h"

namespace faultline::demo {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Ran run(const Stage& stage, const std::string& name, const std::vector<std::string>& more) {
  const std::string file = stage.experiments + "/" + name + ".yaml";
  const std::string folder = stage.reports + "/" + name;
  std::filesystem::remove_all(folder);
  std::string line = "faultline run " + file + " --pods pods.yaml --report " + folder + " --yes";
  std::vector<std::string> words{stage.programs + "/faultline", "run",      file,   "--pods",
                                 stage.shop.pods_file(),        "--report", folder, "--yes"};
  for (const std::string& word : more) {
    line += " " + word;
    words.push_back(word);
  }
  typed(line);
  auto child = testbed::launch(words);
  Ran ran;
  ran.status = finish(child);
  if (!std::filesystem::exists(folder + "/report.json"))
    throw std::runtime_error("faultline run ended with " + std::to_string(ran.status) +
                             " and left no report");
  auto report = api::from_json_text<api::Report>(read_file(folder + "/report.json"));
  if (!report)
    throw std::runtime_error("faultline run ended with " + std::to_string(ran.status) +
                             " and left a report that cannot be read: " + report.error().message);
  ran.report = std::move(*report);
  return ran;
}

}  // namespace faultline::demo
