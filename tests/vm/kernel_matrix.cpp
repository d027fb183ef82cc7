// SPDX-License-Identifier: Apache-2.0
// kernel_matrix FOLDER [--page FILE]: judges the grounds below FOLDER, one folder each as
// tests/vm/ground leaves it. Ends with 0 when the kernel tests are proven, 1 when not, 3 when it
// was called wrongly. With --page it writes docs/kernels.md besides.
#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "tests/vm/grounds.h"

namespace faultline::grounds {
namespace {

// The page's order: old to new, what is special last.
int rank(const std::string& name) {
  constexpr std::array kOrder{"6.1", "6.12", "newest", "errinj", "native"};
  return static_cast<int>(std::ranges::find(kOrder, name) - kOrder.begin());
}

int run(const std::filesystem::path& folder, const std::string& page_file) {
  std::vector<Ground> grounds;
  std::vector<std::string> wrong;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    auto ground = read_ground(entry.path());
    if (ground)
      grounds.push_back(std::move(*ground));
    else
      wrong.push_back(ground.error().message);
  }
  std::ranges::sort(grounds, {}, [](const Ground& g) { return rank(g.name); });
  for (const std::string& complaint : complaints(grounds)) wrong.push_back(complaint);
  if (grounds.empty()) wrong.emplace_back("there are no results at all");
  std::cout << skips(grounds);
  for (const Ground& ground : grounds)
    std::cout << ground.name << " (" << ground.node.kernel << "): " << ground.tests.size()
              << " tests\n";
  for (const std::string& text : wrong) std::cout << "FAIL " << text << "\n";
  if (!page_file.empty() && !(std::ofstream(page_file) << page(grounds)).flush()) {
    std::cerr << "kernel_matrix: cannot write " << page_file << "\n";
    return 1;
  }
  return wrong.empty() ? 0 : 1;
}

}  // namespace
}  // namespace faultline::grounds

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool with_page = words.size() == 3 && words[1] == "--page";
  if (words.size() != 1 && !with_page) {
    std::fprintf(stderr, "usage: kernel_matrix FOLDER [--page FILE]\n");
    return 3;
  }
  try {
    return faultline::grounds::run(words[0], with_page ? words[2] : std::string());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kernel_matrix: %s\n", e.what());
    return 1;
  }
}
