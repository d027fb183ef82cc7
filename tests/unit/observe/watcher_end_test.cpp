// SPDX-License-Identifier: Apache-2.0
// What a watcher makes of what it could not ask, or may not keep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/observe/samples.h"
#include "report/detections.h"
#include "tests/unit/observe/watching.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using test::expecting;
using test::Monitor;
using test::Watching;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- bounds

TEST(NotTakenBounds, NamesOfManyNotificationsAreBoundedAndMayThenBeAny) {
  NotTaken all;
  for (int i = 0; i < 1'000; ++i) {
    NotTaken one;
    one.add(boost::json::object{{"alertname", "A" + std::to_string(i)}}, "65 labels");
    all.add(one);
    if (i < 60) EXPECT_FALSE(all.may_be("B")) << i;
  }
  EXPECT_TRUE(all.may_be("A0"));
  EXPECT_TRUE(all.may_be("B")) << "there was no room for all names";
  EXPECT_EQ(all.words(), "1000 alerts were not taken, one with 65 labels");
}

}  // namespace
}  // namespace faultline::controller::observe
