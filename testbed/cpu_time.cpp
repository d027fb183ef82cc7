// SPDX-License-Identifier: Apache-2.0
#include "testbed/cpu_time.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace faultline::testbed {

// Fields 14 and 15 of /proc/PID/stat, proc(5). The name before them may hold any character.
double cpu_seconds(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string all(std::istreambuf_iterator<char>(in), {});
  if (all.empty()) return 0;
  std::istringstream fields(all.substr(all.rfind(')') + 2));
  std::string word;
  double ticks = 0;
  for (int i = 3; i <= 15 && fields >> word; ++i)
    if (i >= 14) ticks += std::stod(word);
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace faultline::testbed
