// SPDX-License-Identifier: Apache-2.0
// What came into a pod past the hook on its host-side device, as a CNI brings it with
// bpf_redirect_peer(): the faults that hang there are partial, those within the pod are not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/gap.h"
#include "report/analysis.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using testing::HasSubstr;
using testing::Not;

// The reason of the target's only row, when `spec` was injected and the gap was told.
std::string reason_of(api::FaultSpec spec, bool counted) {
  api::RunRecord record = synthetic::slow_payments();
  api::Fault& fault = record.experiment.spec.faults[0];
  fault.spec = std::move(spec);
  api::InjectionStatus& status = record.nodes[0].injections[0];
  status.fault = fault.name();
  api::Gap gap{"node-1",       status.pod.id(),   std::string(api::kBypass),
               status.armedAt, status.disarmedAt, "past the hook or before it"};
  if (counted) {
    gap.missed = 50;
    gap.of = 100;
  }
  record.nodes[0].gaps.push_back(gap);
  return injections_of(record)[0].reason;
}

template <class Fault>
std::string reason_of(api::Direction direction, bool counted) {
  Fault spec;
  spec.direction = direction;
  return reason_of(spec, counted);
}

TEST(Bypass, OfAFaultOnTheHostSideDeviceIsTold) {
  EXPECT_THAT(reason_of<api::NetworkLatency>(api::Direction::from, true),
              HasSubstr("50 of 100 past the hook"));
  EXPECT_THAT(reason_of<api::NetworkLatency>(api::Direction::both, true), HasSubstr("past the"));
  EXPECT_THAT(reason_of<api::NetworkLatency>(api::Direction::to, true), Not(HasSubstr("past the")));
}

TEST(Bypass, IsNoneForALossThatIsTakenWithinThePod) {
  EXPECT_THAT(reason_of<api::NetworkLoss>(api::Direction::from, true), Not(HasSubstr("past the")));
  EXPECT_THAT(reason_of<api::NetworkLoss>(api::Direction::both, true), Not(HasSubstr("past the")));
}

TEST(Bypass, ByAProgramBeforeOursIsToldOfBoth) {
  EXPECT_THAT(reason_of<api::NetworkLatency>(api::Direction::both, false), HasSubstr("past the"));
  EXPECT_THAT(reason_of<api::NetworkLoss>(api::Direction::both, false), HasSubstr("past the"));
}

}  // namespace
}  // namespace faultline::report
