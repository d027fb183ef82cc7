// SPDX-License-Identifier: Apache-2.0
// Configuration from files, and credentials that change while they are used.
#include "kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "kube/base64.h"
#include "tests/unit/kube/loop.h"

namespace faultline::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
// The same in base64 (coreutils).
constexpr const char* kPemData =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JST0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

std::string kubeconfig(const std::string& cluster, const std::string& user,
                       const std::string& context = "") {
  return "apiVersion: v1\nkind: Config\ncurrent-context: dev\ncontexts:\n- name: dev\n  context: "
         "{cluster: c, user: u" +
         context + "}\nclusters:\n- name: c\n  cluster: {" + cluster +
         "}\nusers:\n- name: u\n  user: {" + user + "}\n";
}

std::string refusal(const std::string& text) {
  const Folder folder;
  const auto config = load_kubeconfig({{folder.write("config", text)}, ""});
  if (config) return "accepted";
  std::string message = config.error().message;
  if (const auto at = message.find(folder.path() + "/"); at == 0)
    message.erase(0, folder.path().size() + 1);
  return message;
}

std::shared_ptr<const Secret> secret(const Config& config) {
  asio::io_context io(1);
  const auto got = run(io, config.credentials->get());
  EXPECT_TRUE(got) << got.error().message;
  return got ? *got : std::make_shared<const Secret>();
}

TEST(Kubeconfig, ReadsEmbeddedDataAndNamespace) {
  const Folder folder;
  const std::string file = folder.write(
      "config", kubeconfig(std::string("server: 'https://k:6443', tls-server-name: kubernetes, "
                                       "certificate-authority-data: ") +
                               kPemData,
                           std::string("client-certificate-data: ") + kPemData +
                               ", client-key-data: " + kPemData + ", token: abc",
                           ", namespace: shop"));
  const auto config = load_kubeconfig({{file}, ""});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://k:6443");
  EXPECT_EQ(config->ns, "shop");
  EXPECT_EQ(config->origin, "context dev of " + file);
  const auto got = secret(*config);
  EXPECT_EQ(got->ca_pem, kPem);
  EXPECT_EQ(got->certificate_pem, kPem);
  EXPECT_EQ(got->key_pem, kPem);
  EXPECT_EQ(got->token, "abc");
  EXPECT_EQ(got->server_name, "kubernetes");
}

TEST(Kubeconfig, PathsAreRelativeToItsFolder) {
  const Folder folder;
  std::filesystem::create_directory(folder.path("pki"));
  folder.write("pki/ca.pem", kPem);
  folder.write("token", "from-file\n");
  const auto config = load_kubeconfig(
      {{folder.write("config", kubeconfig("server: 'https://k', certificate-authority: pki/ca.pem",
                                          "token: ignored, tokenFile: token"))},
       ""});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(secret(*config)->ca_pem, kPem);
  EXPECT_EQ(secret(*config)->token, "from-file");
  EXPECT_EQ(config->ns, "default");
}

TEST(Kubeconfig, OfSeveralFilesTheFirstToSayItWins) {
  const Folder folder;
  const std::string a =
      folder.write("a", "current-context: two\nusers:\n- {name: u, user: {token: first}}\n");
  const std::string b =
      folder.write("b", kubeconfig("server: 'https://k'", "token: second") + "preferences: {}\n");
  const std::string c =
      folder.write("c", "contexts:\n- {name: two, context: {cluster: c, user: u, namespace: n}}\n");
  const auto config = load_kubeconfig({{folder.path("missing"), a, b, c}, ""});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ns, "n");
  EXPECT_EQ(secret(*config)->token, "first");
  const auto other = load_kubeconfig({{a, b, c}, "dev"});
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->ns, "default");
}

TEST(Kubeconfig, FilesAreThoseKubectlWouldRead) {
  EXPECT_THAT(kubeconfig_files("/a::/b", "/home/x"), ElementsAre("/a", "/b"));
  EXPECT_THAT(kubeconfig_files("", "/home/x"), ElementsAre("/home/x/.kube/config"));
  EXPECT_TRUE(kubeconfig_files("", "").empty());
}

TEST(Kubeconfig, ErrorsNameFileAndField) {
  const std::string server = "server: 'https://k'";
  EXPECT_EQ(refusal(kubeconfig("server: k", "")),
            "config: clusters[0].cluster.server must begin with https://, got \"k\"");
  EXPECT_EQ(refusal(kubeconfig(server + ", certificate-authority-data: '***'", "")),
            "config: clusters[0].cluster.certificate-authority-data is not base64");
  EXPECT_EQ(refusal(kubeconfig(server + ", certificate-authority-data: QUJD", "")),
            "config: clusters[0].cluster.certificate-authority-data holds no PEM block");
  EXPECT_EQ(refusal(kubeconfig(server, std::string("client-certificate-data: ") + kPemData)),
            "config: users[0].user has a client-certificate and no client-key");
  EXPECT_THAT(refusal(kubeconfig(server, "tokenFile: /nowhere/token")),
              HasSubstr("users[0].user.tokenFile cannot read /nowhere/token: No such file"));
  EXPECT_EQ(refusal(kubeconfig(server, "token: [a]")),
            "config: users[0].user.token must be a text");
  EXPECT_EQ(refusal("current-context: x\ncontexts: []\n"), "config: contexts has none named \"x\"");
  EXPECT_EQ(refusal("contexts: []\n"),
            "config: current-context is not set and no context was asked for");
  EXPECT_EQ(refusal("current-context: x\ncontexts:\n- {name: x, context: {cluster: gone}}\n"),
            "config: clusters has none named \"gone\", which context x names");
  EXPECT_THAT(refusal("a: [\n"), HasSubstr("config:2: "));
  EXPECT_THAT(refusal(","), HasSubstr("config:1: not valid YAML"));
  EXPECT_THAT(refusal("a: &x 1\nb: *x\n"), HasSubstr("config:2: b: aliases like \"*x\""));
  EXPECT_THAT(refusal(std::string(1000, '[')), HasSubstr("nested more than 32 deep"));
  EXPECT_EQ(refusal("just text"), "config: not a kubeconfig");
  const auto none = load_kubeconfig({{"/nowhere/a", "/nowhere/b"}, ""});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  EXPECT_EQ(none.error().message, "there is no kubeconfig at /nowhere/a, /nowhere/b");
}

TEST(Kubeconfig, RefusesWhatWouldGiveCredentialsAway) {
  const std::string server = "server: 'https://k'";
  EXPECT_THAT(refusal(kubeconfig(server + ", insecure-skip-tls-verify: true", "token: t")),
              HasSubstr("clusters[0].cluster.insecure-skip-tls-verify is refused: "));
  EXPECT_EQ(refusal(kubeconfig(server + ", insecure-skip-tls-verify: false", "token: t")),
            "accepted");
  EXPECT_THAT(refusal(kubeconfig("server: 'http://k'", "token: t")),
              HasSubstr("would carry a token unencrypted"));
  EXPECT_EQ(refusal(kubeconfig("server: 'http://127.0.0.1:8001'", "token: t")), "accepted");
  EXPECT_EQ(refusal(kubeconfig("server: 'http://k'", "")), "accepted");
  EXPECT_THAT(refusal(kubeconfig(server, "username: a, password: b")),
              HasSubstr("users[0].user.username is not supported"));
  EXPECT_THAT(refusal(kubeconfig(server, "as: admin")), HasSubstr("does not impersonate"));
  EXPECT_THAT(refusal(kubeconfig(server,
                                 "exec: {apiVersion: client.authentication.k8s.io/v1, "
                                 "command: x, interactiveMode: Always}")),
              HasSubstr("users[0].user.exec.interactiveMode Always is not supported"));
  EXPECT_THAT(refusal(kubeconfig(server,
                                 "exec: {apiVersion: "
                                 "client.authentication.k8s.io/v1alpha1, command: x}")),
              HasSubstr("users[0].user.exec.apiVersion \"client.authentication.k8s.io/v1alpha1\" "
                        "is not known"));
  // Bad input, and not what a kernel or a build cannot: `faultline` ends with 3.
  const Folder folder;
  const auto refused = load_kubeconfig(
      {{folder.write("config", kubeconfig(server + ", insecure-skip-tls-verify: true", ""))}, ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
}

TEST(Kubeconfig, OfAFileWithoutAnEndNoMoreIsReadThanTheLargestMayHave) {
  const auto config = load_kubeconfig({{"/dev/zero"}, ""});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message, "/dev/zero is larger than 8 MiB");
  EXPECT_EQ(config.error().code, Errc::kInvalid);
}

TEST(InCluster, TheTokenIsReadAgainWhenKubernetesTurnsTheLinkRound) {
  const Folder folder;
  std::filesystem::create_directory(folder.path("..1"));
  std::filesystem::create_directory(folder.path("..2"));
  folder.write("..1/token", "one");
  folder.write("..2/token", "two");
  folder.write("..1/ca.crt", kPem);
  folder.write("..2/ca.crt", kPem);
  folder.write("namespace", "faultline");
  std::filesystem::create_symlink("..1", folder.path("..data"));
  std::filesystem::create_symlink("..data/token", folder.path("token"));
  std::filesystem::create_symlink("..data/ca.crt", folder.path("ca.crt"));
  const auto config = in_cluster({"fd00::1", "443", folder.path(), ""});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->ns, "faultline");
  const auto before = secret(*config);
  EXPECT_EQ(before->token, "one");
  EXPECT_EQ(secret(*config).get(), before.get()) << "read again without a change";
  std::filesystem::create_symlink("..2", folder.path("..new"));
  std::filesystem::rename(folder.path("..new"), folder.path("..data"));
  const auto after = secret(*config);
  EXPECT_EQ(after->token, "two");
  EXPECT_EQ(after->tls_version, before->tls_version) << "connections need not be made anew";
}

TEST(InCluster, AFileThatIsGoneOrEmptyForAMomentChangesNothing) {
  const Folder folder;
  folder.write("token", "one");
  folder.write("ca.crt", kPem);
  const auto config = in_cluster({"k", "443", folder.path(), ""});
  ASSERT_TRUE(config);
  EXPECT_EQ(secret(*config)->token, "one");
  std::filesystem::remove(folder.path("token"));
  EXPECT_EQ(secret(*config)->token, "one");
  folder.write("token", "");
  EXPECT_EQ(secret(*config)->token, "one");
  folder.write("token", "two\n");
  EXPECT_EQ(secret(*config)->token, "two");
}

TEST(InCluster, ANewAuthorityNeedsNewConnections) {
  const Folder folder;
  folder.write("token", "one");
  folder.write("ca.crt", kPem);
  const auto config = in_cluster({"k", "443", folder.path(), ""});
  ASSERT_TRUE(config);
  const auto before = secret(*config);
  folder.write("ca.crt", std::string(kPem) + kPem);
  EXPECT_EQ(secret(*config)->ca_pem, std::string(kPem) + kPem);
  EXPECT_NE(secret(*config)->tls_version, before->tls_version);
}

TEST(InCluster, SaysWhatIsMissing) {
  const Folder folder;
  EXPECT_THAT(in_cluster({"", "", folder.path(), ""}).error().message,
              HasSubstr("not in a cluster"));
  EXPECT_THAT(in_cluster({"k", "443", folder.path(), ""}).error().message,
              HasSubstr("cannot read " + folder.path("ca.crt") + ": No such file"));
}

Result<Config> with_plugin(const Folder& folder, const std::string& script,
                           const std::string& more = "") {
  folder.write("plugin", "#!/bin/sh\n" + script, true);
  return load_kubeconfig(
      {{folder.write(
           "config",
           kubeconfig(std::string("server: 'https://k', certificate-authority-data: ") + kPemData,
                      "exec: {apiVersion: client.authentication.k8s.io/v1, command: "
                      "./plugin, args: [get, token], env: [{name: COLOUR, value: red}]" +
                          more + "}"))},
       "",
       milliseconds(3000)});
}

std::string credential(const std::string& status) {
  return "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
         "\"status\":{" +
         status + "}}'\n";
}

std::string plugin_error(const std::string& script) {
  const Folder folder;
  const auto config = with_plugin(folder, script);
  EXPECT_TRUE(config) << config.error().message;
  asio::io_context io(1);
  const auto got = run(io, config->credentials->get());
  if (got) return "token " + (*got)->token;
  const std::string& text = got.error().message;
  return text.substr(text.find("plugin: ") == text.npos ? 0 : text.find("plugin: ") + 8);
}

TEST(ExecPlugin, IsToldWhatItNeedsAndItsTokenIsKept) {
  const Folder folder;
  const auto config = with_plugin(folder,
                                  "cd \"$(dirname \"$0\")\"; echo x >> runs; echo "
                                  "\"$*|$COLOUR|$KUBERNETES_EXEC_INFO\" > told\n" +
                                      credential("\"token\":\"t1\""),
                                  ", provideClusterInfo: true");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(secret(*config)->token, "t1");
  EXPECT_EQ(secret(*config)->token, "t1");
  EXPECT_EQ(folder.read("runs"), "x\n") << "run again though its token does not expire";
  EXPECT_THAT(folder.read("told"), HasSubstr("get token|red|{"));
  EXPECT_THAT(folder.read("told"), HasSubstr("\"interactive\":false"));
  EXPECT_THAT(folder.read("told"), HasSubstr("\"server\":\"https://k\""));
  // The server did not take it: run again.
  const auto refused = secret(*config);
  config->credentials->refused(*refused);
  EXPECT_EQ(secret(*config)->token, "t1");
  EXPECT_EQ(folder.read("runs"), "x\nx\n");
}

TEST(ExecPlugin, RunsAgainWhenItsTokenHasExpired) {
  const Folder folder;
  const auto config = with_plugin(
      folder, "cd \"$(dirname \"$0\")\"; echo x >> runs\n" +
                  credential("\"token\":\"t\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""));
  ASSERT_TRUE(config);
  secret(*config);
  secret(*config);
  EXPECT_EQ(folder.read("runs"), "x\nx\n");
}

TEST(ExecPlugin, TwoRequestsAtATimeRunItOnce) {
  const Folder folder;
  const auto config = with_plugin(folder, "cd \"$(dirname \"$0\")\"; echo x >> runs; sleep 0.3\n" +
                                              credential("\"token\":\"t\""));
  ASSERT_TRUE(config);
  asio::io_context io(1);
  int got = 0;
  for (int i = 0; i < 2; ++i)
    asio::co_spawn(io, config->credentials->get(),
                   [&](std::exception_ptr, Result<std::shared_ptr<const Secret>> result) {
                     got += result && (*result)->token == "t";
                   });
  io.run();
  EXPECT_EQ(got, 2);
  EXPECT_EQ(folder.read("runs"), "x\n");
}

TEST(ExecPlugin, ItsFailuresAreSaid) {
  EXPECT_THAT(plugin_error("echo first >&2; echo 'please log in' >&2; exit 3\n"),
              HasSubstr("failed with exit code 3: please log in"));
  EXPECT_EQ(plugin_error("echo hello\n"), "it printed no JSON object");
  EXPECT_THAT(plugin_error("echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"x\"}'\n"),
              HasSubstr("it printed apiVersion \"x\", expected"));
  EXPECT_EQ(plugin_error(credential("\"clientCertificateData\":\"x\"")),
            "status has only one of clientCertificateData and clientKeyData");
  EXPECT_EQ(plugin_error(credential("")), "status has neither token nor clientCertificateData");
  EXPECT_THAT(plugin_error(credential("\"token\":\"t\",\"expirationTimestamp\":\"soon\"")),
              HasSubstr("\"soon\" is no RFC 3339 time"));
}

TEST(ExecPlugin, OneThatHangsIsKilledWithItsChildren) {
  const Folder folder;
  const auto begin = std::chrono::steady_clock::now();
  const auto config =
      with_plugin(folder, "cd \"$(dirname \"$0\")\"; sleep 60 & echo $! > child; wait\n");
  ASSERT_TRUE(config);
  asio::io_context io(1);
  const auto got = run(io, config->credentials->get());
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("did not end within 3000 ms and was killed"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(30));
  const std::string child = folder.read("child");
  ASSERT_FALSE(child.empty());
  bool alive = true;
  for (int i = 0; i < 100 && alive; ++i) {
    std::ifstream stat("/proc/" + child.substr(0, child.find('\n')) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    // Gone, or dead and waiting for whoever inherited it.
    alive = !text.empty() && text.find(") Z ") == text.npos;
    if (alive) std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_FALSE(alive) << "the plugin's child " << child;
}

TEST(ExecPlugin, AMissingOneIsSaidWithItsHint) {
  const Folder folder;
  const auto config = load_kubeconfig(
      {{folder.write("config",
                     kubeconfig("server: 'https://k'",
                                "exec: {apiVersion: client.authentication.k8s.io/v1beta1, "
                                "command: no-such-plugin-here, installHint: get it "
                                "there}"))},
       ""});
  ASSERT_TRUE(config);
  asio::io_context io(1);
  const auto got = run(io, config->credentials->get());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::kNotFound);
  EXPECT_EQ(got.error().message,
            "credential plugin no-such-plugin-here: cannot run no-such-plugin-here: No such file "
            "or directory; get it there");
}

TEST(Base64, TakesWhatKubectlWritesAndNothingElse) {
  EXPECT_EQ(base64_decode("QUJD"), "ABC");
  EXPECT_EQ(base64_decode("QUI="), "AB");
  EXPECT_EQ(base64_decode("QQ=="), "A");
  EXPECT_EQ(base64_decode("QU\nJD\n"), "ABC");
  EXPECT_EQ(base64_decode(""), "");
  for (const char* wrong : {"QUJ", "Q", "Q*==", "QU JD", "QQ==QQ=="})
    EXPECT_FALSE(base64_decode(wrong)) << wrong;
}

}  // namespace
}  // namespace faultline::kube
