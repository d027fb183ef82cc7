// SPDX-License-Identifier: Apache-2.0
// `faultline run` on a machine that lacks what its fault needs: an exit code that says so, the
// reason, and nothing left. What is missing is hidden from the programs (testbed/hidden.h).
#include <array>

#include "testbed/hidden.h"
#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

using testbed::Child;
using testbed::Shared;
using testing::HasSubstr;

struct Said {
  int code = -1;
  std::array<char, 65536> text{};
};

class MissingOnTheMachine : public EndToEnd {
 protected:
  // A private run of `fault` by processes that `hide` was called for.
  void run_without(const std::function<void()>& hide, const std::string& fault, Said& said) {
    const std::string file = experiment("missing", fault, {.fault = "1s"});
    ASSERT_EQ(Child([&] {
                testbed::leave_mount_namespace();
                hide();
                Program run = run_privately(file);
                said.code = run.wait();
                (run.out() + run.err()).copy(said.text.data(), said.text.size() - 1);
                return 0;
              }).wait(),
              0);
  }
};

TEST_F(MissingOnTheMachine, FuseMakesALatencyOfCallsNotRealWithTheReason) {
  Shared<Said> said;
  run_without([] { testbed::hide_device("fuse"); },
              "syscallLatency: {syscalls: [openat], latency: 20ms}", *said);
  EXPECT_EQ(said->code, 2) << said->text.data();
  EXPECT_THAT(said->text.data(), HasSubstr("cannot open /dev/fuse: No such file or directory"));
  expect_nothing_left();
}

TEST_F(MissingOnTheMachine, BtfMakesAnErrorOfCallsNotRealWithTheReason) {
  Shared<Said> said;
  run_without([] { testbed::hide_folder("/sys/kernel/btf"); },
              "syscallError: {syscalls: [openat], errno: EIO}", *said);
  EXPECT_EQ(said->code, 2) << said->text.data();
  const std::string told = said->text.data() + content(report_folder() + "/report.json");
  EXPECT_THAT(told, HasSubstr("cannot read /sys/kernel/btf/vmlinux: No such file or directory"));
  expect_nothing_left();
}

}  // namespace
}  // namespace faultline::test
