// The behaviour that upstream's hyperkube tests pin.
#include "km/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"

namespace km {
namespace {

using testing::HasSubstr;
using testing::Not;

int runSimple(ServerCall& call) {
  FlagSet flags(std::string(call.server->name));
  std::string etcd;
  flags.add(&etcd, "etcd-servers", "Where `etcd` is");
  if (auto done = parseServerFlags(call, flags)) return *done;
  call.out(std::string(call.server->name) + " Run\n");
  call.out("etcd: " + etcd + " args: " + join(flags.args(), ",") + "\n");
  return 0;
}

int runError(ServerCall& call) {
  call.out("test-error Run\n");
  return finish(call, errors::failed("server returning error"));
}

int runRaw(ServerCall& call) {
  call.out("raw: " + join(call.args, ",") + "\n");
  return 7;
}

struct HyperKube : testing::Test {
  HyperKube() {
    program.name = "hyperkube";
    program.servers = servers;
    program.out = [this](std::string_view text) { output += text; };
    program.answer = [this](std::string_view text) { answer += text; };
  }
  int run(const std::string& line) {
    output.clear();
    std::vector<std::string> argv;
    for (std::string_view word : split(line, ' ')) argv.emplace_back(word);
    return program.run(argv);
  }
  const std::vector<Server> servers = {
      {.name = "test1",
       .aliases = {"kube-test1"},
       .oneLine = "One",
       .help = "A simple server named test1",
       .run = runSimple},
      {.name = "test2",
       .aliases = {},
       .oneLine = "Two",
       .help = "A simple server named test2",
       .run = runSimple},
      {.name = "test-error",
       .aliases = {},
       .oneLine = "Fails",
       .help = "A simple server that fails",
       .run = runError},
      {.name = "raw",
       .aliases = {},
       .oneLine = "Raw",
       .help = "Parses by itself",
       .run = runRaw,
       .link = false},
  };
  Program program;
  std::string output, answer;
};

TEST_F(HyperKube, ServerByItsNameIsTheFirstWord) {
  EXPECT_EQ(run("hyperkube test1"), 0);
  EXPECT_THAT(output, HasSubstr("test1 Run"));
  EXPECT_EQ(run("/usr/bin/hyperkube --v=1 kube-test1 a b"), 0);
  EXPECT_THAT(output, HasSubstr("args: a,b"));
  setVerbosity(0);
}

TEST_F(HyperKube, ServerByTheNameOfTheLink) {
  EXPECT_EQ(run("test1"), 0);
  EXPECT_THAT(output, HasSubstr("test1 Run"));
  EXPECT_EQ(run("./dir/kube-test1 --etcd-servers=x"), 0);
  EXPECT_THAT(output, HasSubstr("etcd: x"));
  EXPECT_EQ(run("not-a-server"), 1);
  EXPECT_THAT(output, HasSubstr("Server not found: not-a-server"));
}

TEST_F(HyperKube, NoServer) {
  EXPECT_EQ(run("hyperkube"), 1);
  EXPECT_THAT(output, HasSubstr("Error: no server specified\n"));
  EXPECT_THAT(output, HasSubstr("Usage"));
}

TEST_F(HyperKube, UnknownServer) {
  EXPECT_EQ(run("hyperkube bogus"), 1);
  EXPECT_THAT(output, HasSubstr("Error: Server not found: bogus\n"));
  EXPECT_THAT(output, HasSubstr("Usage"));
}

TEST_F(HyperKube, TopHelp) {
  EXPECT_EQ(run("hyperkube --help"), 0);
  EXPECT_THAT(output, HasSubstr("all-in-one"));
  EXPECT_THAT(output, HasSubstr("A simple server named test1"));
  EXPECT_THAT(output, Not(HasSubstr("Error")));
}

TEST_F(HyperKube, TopHelpDoesNotRunTheServer) {
  EXPECT_EQ(run("hyperkube --help test1"), 0);
  EXPECT_THAT(output, HasSubstr("all-in-one"));
  EXPECT_THAT(output, Not(HasSubstr("test1 Run")));
}

TEST_F(HyperKube, TopBadFlag) {
  EXPECT_EQ(run("hyperkube --bad-flag"), 1);
  EXPECT_THAT(output, HasSubstr("Error: unknown flag: --bad-flag\n"));
  EXPECT_THAT(output, HasSubstr("all-in-one"));
}

TEST_F(HyperKube, ServerHelp) {
  EXPECT_EQ(run("hyperkube test1 --help"), 0);
  EXPECT_THAT(output,
              HasSubstr("A simple server named test1\nUsage:\n  test1 [flags]\n\nAvailable Flags:\n"));
  EXPECT_THAT(output, HasSubstr("-h, --help"));
  EXPECT_THAT(output, HasSubstr("help for hyperkube"));
  EXPECT_THAT(output, HasSubstr("--etcd-servers etcd"));
  EXPECT_THAT(output, Not(HasSubstr("test1 Run")));
}

TEST_F(HyperKube, ServerBadFlag) {
  EXPECT_EQ(run("hyperkube test1 --bad-flag"), 1);
  EXPECT_THAT(output, HasSubstr("Error: unknown flag: --bad-flag\n"));
  EXPECT_THAT(output, HasSubstr("A simple server named test1"));
  EXPECT_THAT(output, HasSubstr("help for hyperkube"));
  EXPECT_THAT(output, Not(HasSubstr("test1 Run")));
}

TEST_F(HyperKube, ServerError) {
  EXPECT_EQ(run("hyperkube test-error"), 1);
  EXPECT_EQ(output, "test-error Run\nError: server returning error\n");
}

TEST_F(HyperKube, UnderscoresAreReadAsDashesWithAWarning) {
  std::string log;
  setLogSink([&](Severity, std::string_view line) { log += line; });
  EXPECT_EQ(run("hyperkube test1 --etcd_servers=y"), 0);
  setLogSink(nullptr);
  EXPECT_THAT(output, HasSubstr("etcd: y"));
  EXPECT_THAT(log, HasSubstr("etcd_servers has been converted to etcd-servers"));
}

TEST_F(HyperKube, SomeServersParseByThemselves) {
  EXPECT_EQ(run("hyperkube raw get pods --help -- sh"), 7);
  EXPECT_EQ(output, "raw: get,pods,--help,--,sh\n");
}

TEST_F(HyperKube, Version) {
  EXPECT_EQ(run("hyperkube --version"), 0);
  EXPECT_EQ(run("hyperkube test1 --version"), 0);
  EXPECT_EQ(answer, versionLine() + "\n" + versionLine() + "\n");
  EXPECT_EQ(output, "");
  answer.clear();
  EXPECT_EQ(run("hyperkube --version=raw"), 0);
  EXPECT_THAT(answer, HasSubstr("gitVersion: v1.36.3\n"));
  EXPECT_EQ(run("hyperkube --version=maybe"), 1);
}

TEST_F(HyperKube, MakesOneLinkAServer) {
  char name[] = "/tmp/km-links-XXXXXX";
  std::string dir = ::mkdtemp(name);
  program.executable = "/opt/hyperkube";
  program.linkDirectory = dir;
  EXPECT_EQ(run("hyperkube --make-symlinks"), 0);
  for (const char* link : {"test1", "test2", "test-error"}) {
    EXPECT_EQ(std::filesystem::read_symlink(dir + "/" + link), "/opt/hyperkube");
  }
  EXPECT_FALSE(std::filesystem::is_symlink(dir + "/raw"));
  EXPECT_EQ(run("hyperkube --make-symlinks"), 1);
  EXPECT_THAT(output, HasSubstr("symlink /opt/hyperkube " + dir + "/test1: File exists\n"));
  EXPECT_THAT(output, HasSubstr("Error creating one or more symlinks."));
  std::filesystem::remove_all(dir);
}

TEST_F(HyperKube, UsageHasUpstreamsShape) {
  program.servers = std::span(servers).first(2);
  EXPECT_EQ(program.usage(),
            "This is an all-in-one binary that can run any of the various Kubernetes servers.\n"
            "\nUsage\n\n  hyperkube <server> [flags]\n\nServers\n"
            "\n  test1\n    A simple server named test1\n"
            "\n  test2\n    A simple server named test2\n"
            "\nCall 'hyperkube --make-symlinks' to create symlinks for each server in the local directory.\n"
            "Call 'hyperkube <server> --help' for help on a specific server.\n");
}

TEST(Program, WrapsText) {
  std::string words;
  for (int i = 0; i < 30; i++) words += "word ";
  for (std::string_view line : split(trimSpace(wrapText(words, "    ")), '\n')) EXPECT_LE(line.size(), 80u);
  EXPECT_EQ(wrapText("a  b\nc", "  "), "  a b\n  c\n");
}

TEST(Program, TheTableHasNoDoubleNames) {
  std::vector<std::string_view> names;
  for (const Server& server : allServers()) {
    names.push_back(server.name);
    names.insert(names.end(), server.aliases.begin(), server.aliases.end());
    EXPECT_NE(server.run, nullptr);
    EXPECT_FALSE(server.help.empty());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace km
