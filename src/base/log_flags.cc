#include "base/duration.h"
#include "base/flags.h"
#include "base/log.h"
#include "base/result.h"
#include "base/strings.h"

namespace km {
namespace {

class LevelValue final : public FlagValue {
 public:
  Status set(std::string_view text) override {
    auto level = parseInt64(text);
    if (!level || *level < 0 || *level > INT32_MAX) {
      return errors::badRequest("strconv.ParseUint: parsing " + quote(text) + ": invalid syntax");
    }
    setVerbosity(static_cast<int>(*level));
    return {};
  }
  std::string str() const override { return std::to_string(verbosity()); }
  std::string type() const override { return "Level"; }
  // Usage shows no "(default 0)".
};

class VmoduleValue final : public FlagValue {
 public:
  Status set(std::string_view text) override {
    KM_TRY(setVmodule(text));
    text_ = text;
    return {};
  }
  std::string str() const override { return text_; }
  std::string type() const override { return "pattern=N,..."; }

 private:
  std::string text_;
};

}  // namespace

void addLogFlags(FlagSet& flags) {
  flags.addValue(std::make_unique<LevelValue>(), "v", "number for the log level verbosity").shorthand('v');
  flags.addValue(std::make_unique<VmoduleValue>(), "vmodule",
                 "comma-separated list of pattern=N settings for file-filtered logging");
  flags
      .addFunc(
          [](std::string_view text) -> Status {
            if (text == "text") return {};
            return errors::badRequest("unsupported log format: " + quote(text));
          },
          "string", "logging-format", "Sets the log format. Permitted formats: \"text\".")
      .defaultText("text");
  // Every line is written at once, so any frequency is kept.
  flags
      .addFunc([](std::string_view text) { return parseDuration(text).status(); }, "duration",
               "log-flush-frequency", "Maximum time between log flushes: lines are never held back")
      .defaultText("5s");
  // Lines always go to stderr; asking for it is harmless, asking for something else is refused.
  flags
      .addFunc(
          [](std::string_view text) -> Status {
            if (text == "true" || text == "1") return {};
            return errors::badRequest("log files are not supported: lines go to stderr");
          },
          "bool", "logtostderr", "log to standard error instead of files")
      .noOptDefault("true")
      .deprecated("lines always go to stderr");
}

}  // namespace km
