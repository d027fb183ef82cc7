// SPDX-License-Identifier: Apache-2.0
// docs/who-may-what.md, table api: what a real API server lets each actor do, asked by kubectl.
#include <fstream>
#include <map>
#include <sstream>

#include "tests/cluster/faultline.h"
#include "tests/places.h"

namespace faultline::test {
namespace {

constexpr const char* kRoles = R"(
apiVersion: v1
kind: Namespace
metadata: {name: tenant-a}
---
apiVersion: v1
kind: Namespace
metadata: {name: tenant-b}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: users, namespace: tenant-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: faultline-experimenter}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: user-a}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: users, namespace: tenant-b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: faultline-experimenter}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: user-b}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: everything, namespace: tenant-a}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: admins, namespace: tenant-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: everything}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: admin-a}]
)";

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    if (first == cell.npos) continue;
    cells.push_back(cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return cells;
}

class FaultlineWhoMayWhat : public Faultline {};

TEST_F(FaultlineWhoMayWhat, TheApiServerAnswersEveryActorAsTheDocumentSays) {
  const TemporaryFile roles(kRoles);
  must_kubectl({"apply", "-f", roles.path()});
  const std::map<std::string, std::string> users{
      {"no rights", "system:serviceaccount:tenant-a:default"},
      {"user of A", "user-a"},
      {"admin of A", "admin-a"},
      {"user of B", "user-b"},
      {"agent", "system:serviceaccount:faultline:faultline-agent"},
      {"controller", "system:serviceaccount:faultline:faultline-controller"}};
  std::ifstream in(source_dir() / "docs/who-may-what.md");
  std::string line;
  while (std::getline(in, line) && line != "<!-- table: api -->") {
  }
  std::getline(in, line);
  const std::vector<std::string> head = cells_of(line);
  std::getline(in, line);  // |---|
  std::size_t asked = 0;
  while (std::getline(in, line) && line.starts_with("|")) {
    const std::vector<std::string> cells = cells_of(line);
    ASSERT_EQ(cells.size(), head.size()) << line;
    std::istringstream words(cells[0]);
    std::string verb, what, preposition, space;
    words >> verb >> what >> preposition >> space;
    for (std::size_t i = 1; i < cells.size(); ++i) {
      if (cells[i] == "*") continue;
      std::vector<std::string> question{"auth", "can-i", verb, what, "--as", users.at(head[i])};
      if (space == "all") {
        question.emplace_back("--all-namespaces");
      } else {
        question.emplace_back("-n");
        question.push_back(space == "A" ? "tenant-a" : space);
      }
      ++asked;
      // The answer is the last line; warnings come before it. "no" ends with 1.
      std::istringstream said(kubectl(question).output);
      std::string answer;
      for (std::string part; said >> part;)
        if (part == "yes" || part == "no") answer = part;
      EXPECT_EQ(answer, cells[i]) << cells[0] << " as " << head[i];
    }
  }
  EXPECT_GE(asked, 40U) << "the document has lost its table";
  kubectl({"delete", "-f", roles.path(), "--ignore-not-found", "--wait=false"});
}

}  // namespace
}  // namespace faultline::test
