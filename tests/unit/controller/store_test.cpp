// SPDX-License-Identifier: Apache-2.0
#include "controller/store/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "controller/store/state_dir.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using api::RunState;
using testing::HasSubstr;

class StoreTest : public testing::Test {
 protected:
  StoreTest() { open(); }
  void open(std::int64_t max_pages = 0) {
    store_.reset();
    auto opened = Store::open({.path = path_, .max_pages = max_pages});
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  api::RunRecord head(const std::string& run, UtcTime at = UtcTime(seconds(1795428902))) {
    api::RunRecord record{.run = run, .experiment = experiment(), .requestedBy = "person"};
    record.history = {{RunState::Pending, {at}, ""}};
    record.pods = {{pod("shop", "payments-0"), api::PodRole::target}};
    record.matching = 1;
    record.nodes = {{.node = "n1", .info = node_info("n1")}};
    return record;
  }
  void end(const std::string& run, UtcTime at = UtcTime(seconds(1795428950))) {
    api::RunRecord record = head(run);
    record.state = RunState::Completed;
    record.history.push_back({RunState::Completed, {at}, ""});
    ASSERT_TRUE(store_->update(record, RunState::Completed));
  }
  static api::NumberedBatch batch(std::uint64_t number, const std::string& run,
                                  std::uint64_t injected = 0) {
    api::NumberedBatch numbered{.number = number, .batch = {.run = run}};
    numbered.batch.injections = {injection(pod("shop", "payments-0"), 2 * injected, injected)};
    numbered.batch.windows = {{.pod = pod("shop", "payments-0"),
                               .from = {UtcTime(seconds(1795428902 + number))},
                               .to = {UtcTime(seconds(1795428903 + number))}}};
    return numbered;
  }
  Appended append(const std::vector<api::NumberedBatch>& batches,
                  const std::string& instance = "a") {
    auto appended = store_->append("n1", instance, batches, UtcTime(seconds(1795428910)));
    if (!appended) {
      ADD_FAILURE() << appended.error().message;
      return {};
    }
    return std::move(*appended);
  }

  std::vector<api::RunLogEntry> entries_of(const std::string& run, std::size_t bytes) {
    std::vector<api::RunLogEntry> out;
    EntryPlace place;
    while (true) {
      auto entry = store_->next_entry(run, place, bytes);
      if (!entry) ADD_FAILURE() << entry.error().message;
      if (!entry || !*entry) return out;
      out.push_back(std::move(**entry));
    }
  }
  // Runs of one name and namespace, newest last.
  void run_of(const std::string& ns, const std::string& run, UtcTime at,
              const std::string& target = "") {
    api::RunRecord record = head(run, at);
    record.experiment.metadata.namespace_ = ns;
    record.pods = {{pod(target.empty() ? ns : target, "web-0"), api::PodRole::target}};
    ASSERT_TRUE(store_->insert(record));
    record.state = RunState::Completed;
    record.history.push_back({RunState::Completed, {at}, ""});
    ASSERT_TRUE(store_->update(record, RunState::Completed));
  }

  TempDir dir_;
  std::string path_ = dir_.file("store.db");
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, ARunComesBackWithAllThatWasMeasured) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  append({batch(1, "slow-1", 5), batch(2, "slow-1", 9)});
  api::NumberedBatch last = batch(3, "slow-1", 12);
  last.batch.gaps = {{.node = "n1", .reason = "ring buffer full"}};
  last.batch.events = {event(api::RunEventKind::closed)};
  append({last});
  end("slow-1");
  open();  // as after a restart
  const auto record = store_->load("slow-1");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->state, RunState::Completed);
  EXPECT_EQ(record->experiment.spec.seed, 42U);
  EXPECT_EQ(record->history.size(), 2U);
  ASSERT_EQ(record->nodes.size(), 1U);
  EXPECT_EQ(record->nodes[0].info.kernel, "6.18");
  EXPECT_EQ(record->nodes[0].windows.size(), 3U);
  ASSERT_EQ(record->nodes[0].injections.size(), 1U) << "totals: the newest counts";
  EXPECT_EQ(record->nodes[0].injections[0].injected, 12U);
  EXPECT_EQ(record->nodes[0].gaps.size(), 1U);
  EXPECT_TRUE(record->nodes[0].closed);
  const auto listed = store_->summaries({"slow-1"}, 1 << 20);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->at(0).injections.at(0).injected, 12U);
}

TEST_F(StoreTest, ABatchThatIsSentAgainIsStoredOnce) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  EXPECT_EQ(append({batch(1, "slow-1"), batch(2, "slow-1")}).acked, 2U);
  const Appended again = append({batch(1, "slow-1"), batch(2, "slow-1"), batch(3, "slow-1")});
  EXPECT_EQ(again.acked, 3U);
  EXPECT_EQ(again.duplicates, 2U);
  EXPECT_EQ(again.fresh.size(), 1U);
  open();
  EXPECT_EQ(append({batch(3, "slow-1")}).duplicates, 1U) << "also after a restart";
  EXPECT_EQ(append({batch(1, "slow-1")}, "b").fresh.size(), 1U) << "another agent counts anew";
  EXPECT_EQ(store_->load("slow-1")->nodes[0].windows.size(), 4U);
}

TEST_F(StoreTest, WhatOneStoreTellsMakesTheSameRunInAnother) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  for (std::uint64_t i = 1; i <= 40; ++i) append({batch(i, "slow-1", i)});
  end("slow-1");
  const auto whole = store_->load("slow-1");
  ASSERT_TRUE(whole);
  const auto entries = entries_of("slow-1", 4096);
  EXPECT_GT(entries.size(), 3U) << "cut by size";
  ASSERT_TRUE(store_->clear());
  EXPECT_FALSE(store_->load("slow-1"));
  for (int twice = 0; twice < 2; ++twice)
    for (const api::RunLogEntry& entry : entries) ASSERT_TRUE(store_->restore(entry));
  const auto again = store_->load("slow-1");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(api::to_json_text(*again), api::to_json_text(*whole));
  EXPECT_EQ(store_->summary("slow-1")->injections.at(0).injected, 40U);
  EXPECT_EQ(append({batch(40, "slow-1")}).duplicates, 1U) << "what was acknowledged stays so";
  EXPECT_EQ(append({batch(41, "slow-1")}).fresh.size(), 1U);
}

TEST_F(StoreTest, ACopyThatIsNotOverIsUnfinished) {
  api::RunLogEntry entry;
  entry.at = {UtcTime(seconds(1795428920))};
  entry.head = head("slow-1");
  entry.head->state = RunState::Injecting;
  ASSERT_TRUE(store_->restore(entry));
  const auto unfinished = store_->unfinished();
  ASSERT_TRUE(unfinished);
  ASSERT_EQ(unfinished->size(), 1U);
  EXPECT_EQ(unfinished->at(0).head.state, RunState::Injecting);
  EXPECT_EQ(unfinished->at(0).last_seen, entry.at.value);
}

TEST_F(StoreTest, BatchesOfARunThatIsOverAreStillStored) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  end("slow-1");
  EXPECT_EQ(append({batch(1, "slow-1", 7)}).fresh.size(), 1U);
  EXPECT_EQ(store_->load("slow-1")->nodes[0].injections[0].injected, 7U);
}

TEST_F(StoreTest, BatchesOfAnUnknownRunAreAcknowledgedAndCounted) {
  const Appended appended = append({batch(1, "gone-1")});
  EXPECT_EQ(appended.acked, 1U) << "else the agent would send it for ever";
  EXPECT_EQ(appended.unknown, 1U);
  EXPECT_TRUE(appended.fresh.empty());
}

TEST_F(StoreTest, ARunOrTheNewestOfANameIsFound) {
  ASSERT_TRUE(store_->insert(head("slow-1", UtcTime(seconds(1000)))));
  ASSERT_TRUE(store_->insert(head("slow-2", UtcTime(seconds(2000)))));
  EXPECT_EQ(store_->ref("slow-1")->run, "slow-1");
  EXPECT_EQ(store_->refs({.name = "slow"})->at(0).run, "slow-2");
  EXPECT_EQ(store_->ref("slow").error().code, Errc::kNotFound) << "a name is no id";
  EXPECT_TRUE(store_->refs({.name = "fast"})->empty());
  EXPECT_EQ(store_->insert(head("slow-1")).error().code, Errc::kConflict);
}

TEST_F(StoreTest, ARunIsFoundByTheUidOfItsExperimentAndByNothingElse) {
  api::RunRecord record = head("slow-1");
  record.experimentUid = "u1";
  ASSERT_TRUE(store_->insert(record));
  ASSERT_TRUE(store_->insert(head("slow-2")));  // asked for over HTTP
  EXPECT_EQ(store_->find_of_experiment("slow", "u1").value(), "slow-1");
  EXPECT_EQ(store_->find_of_experiment("slow", "u2").error().code, Errc::kNotFound);
  EXPECT_EQ(store_->find_of_experiment("fast", "u1").error().code, Errc::kNotFound);
  record.state = RunState::Completed;
  ASSERT_TRUE(store_->update(record, RunState::Completed));
  open();
  EXPECT_EQ(store_->find_of_experiment("slow", "u1").value(), "slow-1") << "also when it is over";
}

TEST_F(StoreTest, AfterAKillUnfinishedRunsAndTheirLastSignOfLifeAreFound) {
  ASSERT_TRUE(store_->insert(head("over-1")));
  end("over-1");
  ASSERT_TRUE(store_->insert(head("slow-1")));
  append({batch(1, "slow-1", 3)});
  api::RunRecord stopping = head("stopping-1");
  ASSERT_TRUE(store_->insert(stopping));
  stopping.stateReason = "stopped by person";
  ASSERT_TRUE(store_->update(stopping, RunState::Aborted));

  // A copy of the files as they lie on the disk is what a killed controller leaves behind.
  const std::string left = dir_.file("left.db");
  for (const char* part : {"", "-wal"}) std::filesystem::copy_file(path_ + part, left + part);
  auto later = Store::open({.path = left});
  ASSERT_TRUE(later) << later.error().message;
  const auto unfinished = (*later)->unfinished();
  ASSERT_TRUE(unfinished) << unfinished.error().message;
  ASSERT_EQ(unfinished->size(), 2U);
  EXPECT_EQ(unfinished->at(0).head.run, "slow-1");
  EXPECT_EQ(unfinished->at(0).last_seen, UtcTime(seconds(1795428910)));
  EXPECT_EQ(unfinished->at(0).ending, std::nullopt);
  EXPECT_EQ(unfinished->at(1).ending, RunState::Aborted);
  EXPECT_EQ((*later)->load("slow-1")->nodes[0].injections[0].injected, 3U);
}

TEST_F(StoreTest, AFullDiskIsAnErrorAndNothingIsHalfStored) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  open(40);  // pages: SQLite then says what it says when the disk is full
  std::uint64_t number = 0;
  Result<Appended> appended = Appended{};
  while (appended && number < 5000) {
    std::vector<api::NumberedBatch> two = {batch(number + 1, "slow-1"),
                                           batch(number + 2, "slow-1")};
    appended = store_->append("n1", "a", two, UtcTime(seconds(1795428910)));
    if (appended) number += 2;
  }
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Errc::kUnavailable);
  EXPECT_THAT(appended.error().message, HasSubstr("full"));
  EXPECT_EQ(store_->load("slow-1")->nodes[0].windows.size(), number) << "what was there stays";
  open();  // there is room again
  EXPECT_EQ(append({batch(number + 1, "slow-1"), batch(number + 2, "slow-1")}).fresh.size(), 2U)
      << "the agent still has them";
}

TEST_F(StoreTest, OldRunsAreDeletedAndRunsUnderWayAreKept) {
  const auto day = std::chrono::hours(24);
  const UtcTime today(seconds(1795428902));
  for (int i = 0; i < 12; ++i) {
    const std::string run = "slow-" + std::to_string(i);
    ASSERT_TRUE(store_->insert(head(run, today - i * day)));
    if (i != 11) end(run);
  }
  append({batch(1, "slow-9")});
  const auto prune = [&](Retention retention) {
    std::size_t all = 0;
    for (std::size_t n = 1; n > 0; all += n) {
      const auto pruned = store_->prune(retention, today);
      if (!pruned) {
        ADD_FAILURE() << pruned.error().message;
        break;
      }
      n = pruned->size();
      if (n == 0) break;
    }
    return all;
  };
  EXPECT_EQ(prune({.runs = 100, .age = 8 * day + std::chrono::hours(1)}), 2U) << "9 and 10 days";
  EXPECT_EQ(store_->ref("slow-9").error().code, Errc::kNotFound);
  EXPECT_TRUE(store_->ref("slow-11")) << "it is not over";
  EXPECT_EQ(prune({.runs = 3, .age = 100 * day}), 6U);
  EXPECT_EQ(store_->refs({})->size(), 4U);
}

TEST_F(StoreTest, ARunOfOneNamespaceIsNotPushedOutByThoseOfAnother) {
  const UtcTime today(seconds(1795428902));
  run_of("small", "kept-1", today - std::chrono::hours(30));
  run_of("small", "kept-2", today - std::chrono::hours(29));
  for (int i = 0; i < 20; ++i)
    run_of("busy", "busy-" + std::to_string(i), today - std::chrono::hours(20 - i));
  while (true) {
    const auto pruned = store_->prune({.runs = 6}, today);
    ASSERT_TRUE(pruned) << pruned.error().message;
    if (pruned->empty()) break;
  }
  std::set<std::string> left;
  const auto refs = store_->refs({});
  ASSERT_TRUE(refs);
  for (const RunRef& ref : *refs) left.insert(ref.run);
  EXPECT_EQ(left, (std::set<std::string>{"kept-1", "kept-2", "busy-16", "busy-17", "busy-18",
                                         "busy-19"}));
}

TEST_F(StoreTest, AFileThatIsNearlyFullLosesTheOldestOfWhoHasMost) {
  open(400);  // pages of 4 KiB
  const UtcTime today(seconds(1795428902));
  run_of("small", "kept", today - std::chrono::hours(30));
  for (int i = 0; i < 20; ++i) {
    const std::string run = "busy-" + std::to_string(i);
    run_of("busy", run, today - std::chrono::hours(20 - i));
    api::NumberedBatch large = batch(static_cast<std::uint64_t>(i + 1), run);
    large.batch.events = {event(api::RunEventKind::closed)};
    large.batch.events[0].text = std::string(65'000, 'x');
    append({large});
  }
  std::size_t deleted = 0;
  for (auto pruned = store_->prune({}, today); pruned && !pruned->empty();
       pruned = store_->prune({}, today))
    deleted += pruned->size();
  EXPECT_GT(deleted, 0U);
  EXPECT_LT(deleted, 10U) << "until there is room, and no more";
  EXPECT_TRUE(store_->ref("kept"));
  EXPECT_FALSE(store_->ref("busy-0"));
  EXPECT_TRUE(store_->ref("busy-19"));
}

TEST_F(StoreTest, AListKnowsNamespacesOfAllPodsWithoutReadingHeads) {
  run_of("shop", "a-1", UtcTime(seconds(1795428900)));
  run_of("shop", "a-2", UtcTime(seconds(1795428901)), "bank");
  EXPECT_EQ(store_->ref("a-1")->namespaces, (std::set<std::string>{"shop"}));
  EXPECT_EQ(store_->ref("a-2")->namespaces, (std::set<std::string>{"shop", "bank"}));
  EXPECT_EQ(store_->ref("a-2")->ns, "shop");
  // A pod of another namespace joins later.
  api::RunRecord record = head("a-2");
  record.experiment.metadata.namespace_ = "shop";
  record.pods = {{pod("mail", "web-0"), api::PodRole::target}};
  ASSERT_TRUE(store_->update(record, std::nullopt));
  EXPECT_EQ(store_->ref("a-2")->namespaces, (std::set<std::string>{"shop", "bank", "mail"}));
  EXPECT_EQ(store_->refs({.ns = "shop"})->size(), 2U);
  EXPECT_TRUE(store_->refs({.ns = "bank"})->empty()) << "the experiment's namespace";
}

TEST_F(StoreTest, PagesOfAListHaveEachRunOnce) {
  const UtcTime at(seconds(1795428900));
  for (int i = 0; i < 7; ++i) run_of("shop", "a-" + std::to_string(i), at);  // the same moment
  std::set<std::string> seen;
  RefQuery query{.limit = 3};
  for (int page = 0; page < 4; ++page) {
    const auto refs = store_->refs(query);
    ASSERT_TRUE(refs);
    for (const RunRef& ref : *refs) EXPECT_TRUE(seen.insert(ref.run).second) << ref.run;
    if (refs->empty()) break;
    query.before = {refs->back().asked_at, refs->back().run};
  }
  EXPECT_EQ(seen.size(), 7U);
}

TEST_F(StoreTest, WindowsBeyondTheSizeOfARunAreLeftOutAndAGapSaysSo) {
  store_.reset();
  auto opened = Store::open({.path = path_, .max_run_bytes = 5000});
  ASSERT_TRUE(opened);
  store_ = std::move(*opened);
  ASSERT_TRUE(store_->insert(head("slow-1")));
  ASSERT_TRUE(store_->insert(head("slow-2")));
  std::size_t cut = 0;
  for (std::uint64_t i = 1; i <= 40; ++i) cut += append({batch(i, "slow-1", i)}).cut.size();
  const auto record = store_->load("slow-1");
  ASSERT_TRUE(record);
  EXPECT_GT(cut, 0U);
  EXPECT_EQ(record->nodes[0].windows.size(), 40 - cut);
  EXPECT_EQ(record->nodes[0].injections[0].injected, 40U) << "what was injected counts to the end";
  ASSERT_EQ(record->gaps.size(), 1U);
  EXPECT_THAT(record->gaps[0].reason, HasSubstr("--max-run"));
  append({batch(1, "slow-2")}, "b");
  EXPECT_EQ(store_->load("slow-2")->nodes[0].windows.size(), 1U) << "another run has its own size";
}

TEST_F(StoreTest, WindowsAreReadPieceByPiece) {
  ASSERT_TRUE(store_->insert(head("slow-1")));
  for (std::uint64_t i = 1; i <= 10; ++i) append({batch(i, "slow-1")});
  std::string all;
  int pieces = 0;
  for (WindowPiece piece; !piece.end; ++pieces) {
    auto next = store_->windows("slow-1", "n1", piece.last, 500);
    ASSERT_TRUE(next) << next.error().message;
    piece = std::move(*next);
    EXPECT_LT(piece.json.size(), 2000U);
    if (!piece.json.empty()) all += (all.empty() ? "" : ",") + piece.json;
  }
  EXPECT_GT(pieces, 2);
  const auto whole = store_->load("slow-1");
  std::string expected;
  for (const api::EffectWindow& window : whole->nodes[0].windows) {
    api::RunBatch one{.run = "x", .windows = {window}};
    const std::string text = api::to_json_text(one);
    const auto from = text.find("\"windows\":[") + 11;
    expected += (expected.empty() ? "" : ",") + text.substr(from, text.find("],\"gaps\"") - from);
  }
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(store_->load("slow-1", Windows::kWithout)->nodes[0].windows.empty());
}

TEST_F(StoreTest, AFileOfTheVersionBeforeIsMigratedWithItsNamespaces) {
  run_of("shop", "a-1", UtcTime(seconds(1795428900)), "bank");
  append({batch(1, "a-1")});
  store_.reset();
  {
    SQLite::Database old(path_, SQLite::OPEN_READWRITE);
    old.exec(
        "DROP TABLE gameday_entries; DROP TABLE gamedays; DROP TABLE detections; DROP TRIGGER "
        "detections_inserted; DROP TRIGGER detections_updated; "
        "DROP TRIGGER run_inserted; DROP TRIGGER run_updated; DROP TABLE run_namespaces; DROP "
        "TABLE run_sizes; DROP INDEX batches_by_node; CREATE INDEX batches_by_run ON batches(run, "
        "id); DELETE FROM migrations WHERE version > 1; PRAGMA user_version = 1");
    old.exec("UPDATE batches SET body = 'broken'");
  }
  open();
  EXPECT_EQ(store_->ref("a-1")->namespaces, (std::set<std::string>{"shop", "bank"}));
  EXPECT_EQ(store_->ref("a-1")->ns, "shop");
  const auto piece = store_->windows("a-1", "n1", 0, 1000);
  ASSERT_TRUE(piece) << piece.error().message;
  EXPECT_TRUE(piece->json.empty()) << "what cannot be read is a gap of the record";
  EXPECT_EQ(store_->load("a-1")->gaps.size(), 1U);
}

TEST_F(StoreTest, TheAlertsThatFiredAreKnownOfRunsThatAreOverWithoutTheirHeads) {
  using api::DetectionVerdict;
  const auto noticed = [&](const std::string& run, int at, bool over) {
    api::RunRecord record = head(run, UtcTime(seconds(at)));
    record.monitoring.emplace().outcomes = {
        {"main", "Slow", DetectionVerdict::not_notified, {UtcTime(seconds(at + 9))}, 3.5},
        {"main", "Silent", DetectionVerdict::missed, {}, {}},
        {"main", "Before", DetectionVerdict::before_fault, {UtcTime(seconds(at + 1))}, {}}};
    if (over) record.state = RunState::Completed;
    return record;
  };
  ASSERT_TRUE(store_->insert(head("calm", UtcTime(seconds(1000)))));
  ASSERT_TRUE(store_->insert(noticed("slow-1", 2000, false)));
  RefQuery fired;
  fired.fired = true;
  EXPECT_TRUE(store_->refs(fired)->empty()) << "none is over";
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(store_->update(noticed("slow-1", 2000, true), RunState::Completed));
  api::RunLogEntry copied;
  copied.head = noticed("slow-2", 3000, true);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(store_->restore(copied));
  const auto refs = store_->refs(fired);
  ASSERT_TRUE(refs);
  ASSERT_EQ(refs->size(), 2U);
  EXPECT_EQ(refs->at(0).run, "slow-2");
  const auto found = store_->fired({"slow-2", "slow-1", "calm", "gone"});
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->at(1).run, "slow-1");
  EXPECT_EQ(found->at(1).alert, "Slow");
  EXPECT_EQ(found->at(1).source, "main");
  EXPECT_EQ(found->at(1).verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(found->at(1).at, api::Timestamp{UtcTime(seconds(2009))});
  EXPECT_EQ(found->at(1).seconds, 3.5);
  ASSERT_TRUE(store_->remove("slow-1"));
  EXPECT_EQ(store_->fired({"slow-1"})->size(), 0U);
}

TEST_F(StoreTest, EachEntryOfACopyMayHaveTheHeadAgain) {
  api::RunLogEntry entry;
  entry.head = head("slow-1");
  entry.head->experiment.metadata.namespace_ = "shop";
  entry.head->pods.push_back({pod("bank", "db-0"), api::PodRole::observed});
  for (int i = 0; i < 3; ++i) {
    const auto restored = store_->restore(entry);
    ASSERT_TRUE(restored) << restored.error().message;
  }
  EXPECT_EQ(store_->ref("slow-1")->namespaces, (std::set<std::string>{"shop", "bank"}));
}

TEST_F(StoreTest, WhatIsOverStaysSoWhateverIsFoundOfAnEarlierMoment) {
  api::RunLogEntry over;
  over.head = head("slow-1");
  over.head->state = RunState::Completed;
  ASSERT_TRUE(store_->restore(over));
  api::RunLogEntry earlier;
  earlier.head = head("slow-1");
  earlier.head->state = RunState::Injecting;
  ASSERT_TRUE(store_->restore(earlier));
  EXPECT_EQ(store_->load("slow-1")->state, RunState::Completed);
}

TEST_F(StoreTest, AFileOfANewerProgramOrOfSomethingElseIsNotTouched) {
  store_.reset();
  const auto refused = [](const std::string& path) {
    const auto opened = Store::open({.path = path});
    EXPECT_FALSE(opened);
    return opened ? std::string() : opened.error().message;
  };
  const std::string text = dir_.file("text.db");
  std::ofstream(text) << std::string(5000, 'x');
  EXPECT_THAT(refused(text), HasSubstr("not a database; move it away"));
  EXPECT_THAT(refused(dir_.file("no/such/folder.db")), HasSubstr("unable to open"));
}

TEST(StateDir, IsHeldByOneController) {
  TempDir dir;
  const auto first = StateDir::open(dir.file("state"));
  ASSERT_TRUE(first);
  const auto second = StateDir::open(dir.file("state"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr("another controller uses"));
  EXPECT_EQ(StateDir::open(dir.file("no/such")).error().code, Errc::kNotFound);
}

TEST(StateDir, IsFreeAgainAfterwards) {
  TempDir dir;
  EXPECT_TRUE(StateDir::open(dir.file("state")));
  EXPECT_TRUE(StateDir::open(dir.file("state")));
}

}  // namespace
}  // namespace faultline::controller::test
