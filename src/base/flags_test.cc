#include "base/flags.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace km {
namespace {

using Args = std::vector<std::string>;

struct FlagsTest : testing::Test {
  FlagsTest() {
    flags.add(&flag, "flag", "A bool").shorthand('f');
    flags.add(&other, "other", "Another bool").shorthand('o');
    flags.add(&name, "name", "The `name` of it").shorthand('n');
    flags.addInt(&count, "count", "How many").shorthand('c');
    flags.add(&big, "big", "A large number");
    flags.add(&ratio, "ratio", "A ratio");
    flags.add(&timeout, "timeout", "How long");
    flags.add(&list, "list", "Several");
    flags.addArray(&array, "array", "Several, whole");
    flags.add(&labels, "labels", "Pairs");
    flags.add(&gates, "feature-gates", "Gates");
    flags.setOutput([this](std::string_view line) { said += line; });
  }
  std::string fail(Args args) {
    Status s = flags.parse(args);
    EXPECT_FALSE(s.ok());
    return s.message();
  }
  void parse(Args args) {
    Status s = flags.parse(args);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  FlagSet flags{"test"};
  bool flag = false, other = false;
  std::string name = "nobody", said;
  int count = 0;
  int64_t big = 0;
  double ratio = 0;
  Duration timeout{0};
  Args list = {"default"}, array;
  std::map<std::string, std::string> labels;
  std::map<std::string, bool> gates;
};

TEST_F(FlagsTest, ReadsEveryForm) {
  parse({"--flag", "a", "--name", "x y", "-c3", "--big=-0x10", "--ratio=1e3", "--timeout", "1h2m3.5s", "b"});
  EXPECT_TRUE(flag);
  EXPECT_EQ(name, "x y");
  EXPECT_EQ(count, 3);
  EXPECT_EQ(big, -16);
  EXPECT_EQ(ratio, 1000);
  EXPECT_EQ(timeout, Duration(3'723'500'000'000));
  EXPECT_EQ(flags.args(), (Args{"a", "b"}));
  EXPECT_TRUE(flags.changed("name"));
  EXPECT_FALSE(flags.changed("list"));
  EXPECT_EQ(flags.argsLengthAtDash(), -1);
}

TEST_F(FlagsTest, ShorthandsMayStandTogether) {
  parse({"-fonx"});
  EXPECT_TRUE(flag && other);
  EXPECT_EQ(name, "x");
  parse({"-f=false", "-n=y", "-n", "z"});
  EXPECT_FALSE(flag);
  EXPECT_EQ(name, "z");
}

TEST_F(FlagsTest, DashDashEndsFlags) {
  parse({"pod", "--flag", "--", "sh", "-c", "ls"});
  EXPECT_EQ(flags.args(), (Args{"pod", "sh", "-c", "ls"}));
  EXPECT_EQ(flags.argsLengthAtDash(), 1);
}

TEST_F(FlagsTest, WithoutInterspersionTheFirstArgumentEndsFlags) {
  flags.setInterspersed(false);
  parse({"--flag", "server", "--unknown", "-"});
  EXPECT_EQ(flags.args(), (Args{"server", "--unknown", "-"}));
}

TEST_F(FlagsTest, ListsReplaceTheDefaultAndThenAppend) {
  parse(
      {"--list=a,\"b,c\"", "--list", "d", "--array=a,b", "--array=c", "--labels=a=1,b=2=3", "--labels=a=9"});
  EXPECT_EQ(list, (Args{"a", "b,c", "d"}));
  EXPECT_EQ(flags.lookup("list")->value(), "[a,\"b,c\",d]");
  EXPECT_EQ(array, (Args{"a,b", "c"}));
  EXPECT_EQ(labels, (std::map<std::string, std::string>{{"a", "9"}, {"b", "2=3"}}));
  parse({"--feature-gates=A=true,B=false"});
  EXPECT_EQ(gates, (std::map<std::string, bool>{{"A", true}, {"B", false}}));
}

TEST_F(FlagsTest, ErrorsReadAsPflags) {
  EXPECT_EQ(fail({"--x=1"}), "unknown flag: --x");
  EXPECT_EQ(fail({"-fxo"}), "unknown shorthand flag: 'x' in -xo");
  EXPECT_EQ(fail({"--name"}), "flag needs an argument: --name");
  EXPECT_EQ(fail({"-fn"}), "flag needs an argument: 'n' in -n");
  EXPECT_EQ(fail({"---x"}), "bad flag syntax: ---x");
  EXPECT_EQ(
      fail({"--count=abc"}),
      "invalid argument \"abc\" for \"-c, --count\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax");
  EXPECT_EQ(fail({"--big=99999999999999999999"}),
            "invalid argument \"99999999999999999999\" for \"--big\" flag: strconv.ParseInt: parsing "
            "\"99999999999999999999\": value out of range");
  EXPECT_EQ(fail({"--flag=maybe"}),
            "invalid argument \"maybe\" for \"-f, --flag\" flag: strconv.ParseBool: parsing \"maybe\": "
            "invalid syntax");
  EXPECT_EQ(fail({"--timeout=5"}),
            "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"");
  EXPECT_EQ(fail({"--labels=a"}),
            "invalid argument \"a\" for \"--labels\" flag: a must be formatted as key=value");
}

TEST_F(FlagsTest, AddressesAndSmallNumbers) {
  std::string address;
  float qps = 0.1f;
  std::vector<int32_t> ports = {1};
  flags.addIp(&address, "bind-address", "Where");
  flags.add(&qps, "qps", "Rate");
  flags.add(&ports, "ports", "Ports");
  EXPECT_EQ(flags.lookup("qps")->defaultValue(), "0.1");
  EXPECT_EQ(flags.lookup("bind-address")->defaultValue(), "<nil>");
  parse({"--bind-address=FD00:0::1", "--qps=2.5", "--ports=2,3", "--ports=4"});
  EXPECT_EQ(address, "fd00::1");
  EXPECT_EQ(qps, 2.5f);
  EXPECT_EQ(ports, (std::vector<int32_t>{2, 3, 4}));
  EXPECT_EQ(fail({"--bind-address=x"}),
            "invalid argument \"x\" for \"--bind-address\" flag: failed to parse IP: \"x\"");
  EXPECT_EQ(fail({"--qps=1e60"}),
            "invalid argument \"1e60\" for \"--qps\" flag: strconv.ParseFloat: parsing \"1e60\": value out "
            "of range");
}

TEST_F(FlagsTest, HelpIsAResultOfItsOwn) {
  EXPECT_TRUE(FlagSet::isHelp(flags.parse(Args{"--help"})));
  EXPECT_TRUE(FlagSet::isHelp(flags.parse(Args{"-h"})));
  EXPECT_FALSE(FlagSet::isHelp(flags.parse(Args{"--helpme"})));
}

TEST_F(FlagsTest, DeprecatedFlagsWorkAndWarn) {
  bool old = false;
  flags.add(&old, "old", "An old one").deprecated("use --flag");
  parse({"--old"});
  EXPECT_TRUE(old);
  EXPECT_EQ(said, "Flag --old has been deprecated, use --flag\n");
  EXPECT_EQ(flags.usages().find("--old"), std::string::npos);
}

TEST_F(FlagsTest, UnderscoresAreReadAsDashesWithOneWarning) {
  std::vector<std::string> lines;
  setLogSink([&](Severity, std::string_view line) { lines.emplace_back(line); });
  std::string servers;
  flags.setNormalize(warnWordSepNormalize);
  flags.add(&servers, "etcd-servers", "Servers");
  parse({"--etcd_servers=a", "--etcd_servers=b"});
  setLogSink(nullptr);
  EXPECT_EQ(servers, "b");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(
      lines[0].find("using an underscore in a flag name is not supported. etcd_servers has been converted to "
                    "etcd-servers."),
      std::string::npos);
  EXPECT_EQ(fail({"--no_such"}), "unknown flag: --no_such");
}

TEST(Flags, UsageIsAlignedAsPflags) {
  FlagSet flags;
  bool help = false, on = true;
  std::string dir = "/var", none;
  Duration period(5'000'000'000), zero(0);
  int64_t port = 443;
  Args list, filled = {"a", "b"};
  flags.add(&help, "help", "help for km").shorthand('h');
  flags.add(&on, "on", "On or off");
  flags.add(&dir, "dir", "The `directory`\nof all");
  flags.add(&none, "none", "Nothing");
  flags.add(&period, "period", "How often");
  flags.add(&zero, "zero", "Never");
  flags.add(&port, "port", "Where").shorthand('p');
  flags.add(&list, "empty-list", "Several");
  flags.add(&filled, "list", "Several");
  flags.add(&none, "opt", "Optional").noOptDefault("x");
  EXPECT_EQ(flags.usages(),
            "      --dir directory        The directory\n"
            "                             of all (default \"/var\")\n"
            "      --empty-list strings   Several\n"
            "  -h, --help                 help for km\n"
            "      --list strings         Several (default [a,b])\n"
            "      --none string          Nothing\n"
            "      --on                   On or off (default true)\n"
            "      --opt string[=\"x\"]     Optional\n"
            "      --period duration      How often (default 5s)\n"
            "  -p, --port int             Where (default 443)\n"
            "      --zero duration        Never\n");
}

TEST(Flags, UsageWraps) {
  FlagSet flags;
  std::string s;
  flags.add(&s, "name", "one two three four five six seven eight nine ten eleven twelve");
  EXPECT_EQ(flags.usages(60),
            "      --name string   one two three four five six\n"
            "                      seven eight nine ten eleven twelve\n");
}

TEST(Flags, SetsMayShareFlags) {
  bool verbose = false;
  FlagSet base, server;
  base.add(&verbose, "verbose", "Talk");
  server.addFlagSet(base);
  ASSERT_TRUE(server.parse(Args{"--verbose"}).ok());
  EXPECT_TRUE(verbose);
  EXPECT_TRUE(base.changed("verbose"));
}

}  // namespace
}  // namespace km
