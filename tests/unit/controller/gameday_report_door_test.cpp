// SPDX-License-Identifier: Apache-2.0
// Days that are made once, and reports that hold nobody up, through a whole controller on loopback.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "api/gameday_record.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

constexpr const char* kDay =
    "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
    "  title: Payments is slow\n  preChecks: []\n  steps:\n  - {name: hello, note: Hello}\n";

std::string id_of(const http::ClientResponse& answer) {
  const auto view = api::from_json_text<api::GameDayView>(answer.body);
  return view ? view->day : "none: " + answer.body;
}

TEST(GameDayMaking, TheSameKeyByTheSamePersonIsTheSameDay) {
  TempDir dir;
  std::uint16_t port = 0;
  std::string first;
  {
    House house(HouseOptions{.store_path = dir.file("store.db")});
    port = house.port();
    const auto make = [&](const std::string& query) {
      return house.call("POST", "/api/v1/gamedays?unattended=true" + query, kDay);
    };
    const auto answer = make("&key=one");
    EXPECT_EQ(answer.status, 201) << answer.body;
    first = id_of(answer);
    EXPECT_EQ(id_of(make("&key=one")), first);
    EXPECT_NE(id_of(make("&key=two")), first);
    EXPECT_EQ(make("&key=" + std::string(200, 'x')).status, 400);
  }
  // Also when the day is over, and the controller another one.
  House house(HouseOptions{.store_path = dir.file("store.db"), .port = port});
  const auto again = house.call("POST", "/api/v1/gamedays?unattended=true&key=one", kDay);
  EXPECT_EQ(id_of(again), first);
}

TEST(GameDayReports, WhoAsksForManyAtOnceIsToldToWaitAndLosesNoPlace) {
  TempDir dir;
  House house(HouseOptions{.store_path = dir.file("store.db")});
  const std::string id = id_of(house.call("POST", "/api/v1/gamedays?unattended=true", kDay));
  std::atomic<int> good = 0, refused = 0, other = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 16; ++i)
    callers.emplace_back([&] {
      const auto answer = house.call("GET", "/api/v1/gamedays/" + id + "/report");
      ++(answer.status == 200 ? good : answer.status == 429 ? refused : other);
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(good, 1);
  EXPECT_EQ(other, 0);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(house.call("GET", "/api/v1/gamedays/" + id + "/report").status, 200);
}

}  // namespace
}  // namespace faultline::controller::test
