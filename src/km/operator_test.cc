// What `km install` and `km completion` write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "km/completion.h"
#include "km/install.h"

namespace km {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(InstallTest, WordsComeBackFromSystemdAsTheyWere) {
  EXPECT_EQ(systemdWord("--v=2"), "--v=2");
  EXPECT_EQ(systemdWord("a b"), "\"a b\"");
  EXPECT_EQ(systemdWord("5%$HOME"), "5%%$$HOME");
  EXPECT_EQ(systemdWord("say \"x\\y\""), "\"say \\\"x\\\\y\\\"\"");
  EXPECT_EQ(systemdWord(""), "\"\"");
}

TEST(InstallTest, TheUnitEndsKmAlone) {
  std::string unit = systemdUnit("/usr/local/bin/km", {"server", "--bind-address", "::"});
  EXPECT_THAT(unit, HasSubstr("\nExecStart=/usr/local/bin/km server --bind-address ::\n"));
  EXPECT_THAT(unit, HasSubstr("\nKillMode=process\n"));
}

TEST(CompletionTest, NamesServersAndTheirFlags) {
  EXPECT_THAT(completions({"sta"}), HasSubstr("status\t"));
  EXPECT_THAT(completions({"sta"}), Not(HasSubstr("server\t")));
  EXPECT_THAT(completions({}), HasSubstr("up\t"));
  EXPECT_THAT(completions({"up", "--data"}), HasSubstr("--data-dir\t"));
  EXPECT_THAT(completions({"up", "--data"}), Not(HasSubstr("--node-name")));
  EXPECT_EQ(completions({"up", "--data-dir", ""}), "");  // a file
  EXPECT_EQ(completions({"nothing", "--"}), "");
}

TEST(CompletionTest, HasAScriptForEachShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) EXPECT_THAT(completionScript(shell, "km"), HasSubstr("__complete")) << shell;
  EXPECT_EQ(completionScript("csh", "km"), "");
}

}  // namespace
}  // namespace km
