#include "base/flags.h"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "base/files.h"
#include "base/flag_values.h"
#include "base/log.h"
#include "base/strings.h"

namespace km {
namespace {
constexpr std::string_view kHelpReason = "HelpRequested";
}  // namespace

Flag& Flag::shorthand(char letter) {
  shorthand_ = letter;
  return *this;
}
Flag& Flag::deprecated(std::string message) {
  deprecated_ = std::move(message);
  hidden_ = true;
  return *this;
}
Flag& Flag::shorthandDeprecated(std::string message) {
  shorthandDeprecated_ = std::move(message);
  return *this;
}
Flag& Flag::hidden() {
  hidden_ = true;
  return *this;
}
Flag& Flag::noOptDefault(std::string value) {
  noOptDefault_ = std::move(value);
  return *this;
}
Flag& Flag::defaultText(std::string text) {
  default_ = std::move(text);
  return *this;
}

struct FlagSet::Impl {
  std::string name;
  std::vector<std::shared_ptr<Flag>> flags;          // in the order of definition
  std::map<std::string, Flag*, std::less<>> byName;  // by normalized name
  std::vector<std::string> args;
  int dash = -1;
  bool interspersed = true, sorted = true;
  Normalize normalize;
  std::function<void(std::string_view)> output;

  std::string normalized(std::string_view n) const { return normalize ? normalize(n) : std::string(n); }
  Flag* find(std::string_view n) const {
    auto it = byName.find(normalized(n));
    return it == byName.end() ? nullptr : it->second;
  }
  Flag* findShorthand(char letter) const {
    for (const auto& flag : flags) {
      if (flag->shorthand_ == letter) return flag.get();
    }
    return nullptr;
  }
  void print(std::string line) const {
    line += '\n';
    if (output) {
      output(line);
    } else {
      (void)writeAll(STDERR_FILENO, line);
    }
  }
  Status setFlag(Flag& flag, std::string_view value);
  Status parseLong(std::string_view arg, std::span<const std::string>& rest);
  Status parseShort(std::string_view arg, std::span<const std::string>& rest);
};

FlagSet::FlagSet(std::string name) : impl_(std::make_unique<Impl>()) {
  impl_->name = std::move(name);
}
FlagSet::~FlagSet() = default;

Flag& FlagSet::add(bool* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::boolean(target), name, usage).noOptDefault("true");
}
Flag& FlagSet::add(int32_t* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::integer(target, "int32"), name, usage);
}
Flag& FlagSet::addInt(int* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::integer(target, "int"), name, usage);
}
Flag& FlagSet::add(int64_t* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::integer(target), name, usage);
}
Flag& FlagSet::add(uint32_t* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::integer(target), name, usage);
}
Flag& FlagSet::add(double* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::floating(target), name, usage);
}
Flag& FlagSet::add(float* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::floating(target), name, usage);
}
Flag& FlagSet::addIp(std::string* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::ip(target), name, usage);
}
Flag& FlagSet::add(std::vector<int32_t>* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::intSlice(target), name, usage);
}
Flag& FlagSet::add(std::string* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::text(target), name, usage);
}
Flag& FlagSet::add(Duration* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::duration(target), name, usage);
}
Flag& FlagSet::add(std::vector<std::string>* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::slice(target), name, usage);
}
Flag& FlagSet::addArray(std::vector<std::string>* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::array(target), name, usage);
}
Flag& FlagSet::add(std::map<std::string, std::string>* target, std::string_view name,
                   std::string_view usage) {
  return addValue(flag_values::stringMap(target), name, usage);
}
Flag& FlagSet::add(std::map<std::string, bool>* target, std::string_view name, std::string_view usage) {
  return addValue(flag_values::boolMap(target), name, usage);
}
Flag& FlagSet::addFunc(std::function<Status(std::string_view)> set, std::string_view type,
                       std::string_view name, std::string_view usage) {
  return addValue(flag_values::function(std::move(set), std::string(type)), name, usage);
}

Flag& FlagSet::addValue(std::unique_ptr<FlagValue> value, std::string_view name, std::string_view usage) {
  auto flag = std::make_shared<Flag>();
  flag->name_ = impl_->normalized(name);
  flag->usage_ = usage;
  flag->default_ = value->str();
  flag->value_ = std::move(value);
  bool added = impl_->byName.emplace(flag->name_, flag.get()).second;
  if (!added) KM_LOG(FATAL, "{} flag redefined: {}", impl_->name, name);
  impl_->flags.push_back(flag);
  return *flag;
}

void FlagSet::addFlagSet(const FlagSet& other) {
  for (const auto& flag : other.impl_->flags) {
    if (impl_->byName.emplace(impl_->normalized(flag->name_), flag.get()).second)
      impl_->flags.push_back(flag);
  }
}

Status FlagSet::Impl::setFlag(Flag& flag, std::string_view value) {
  if (Status s = flag.value_->set(value); !s.ok()) {
    std::string which = "--" + flag.name_;
    if (flag.shorthand_ && flag.shorthandDeprecated_.empty())
      which = std::string("-") + flag.shorthand_ + ", " + which;
    return errors::badRequest("invalid argument " + quote(value) + " for " + quote(which) +
                              " flag: " + s.message());
  }
  flag.changed_ = true;
  if (!flag.deprecated_.empty()) print("Flag --" + flag.name_ + " has been deprecated, " + flag.deprecated_);
  return {};
}

Status FlagSet::Impl::parseLong(std::string_view arg, std::span<const std::string>& rest) {
  std::string_view name = arg.substr(2);
  if (name.empty() || name[0] == '-' || name[0] == '=') {
    return errors::badRequest("bad flag syntax: " + std::string(arg));
  }
  auto pair = cut(name, '=');
  if (pair) name = pair->first;
  Flag* flag = find(name);
  if (!flag) {
    if (name == "help") return {400, kHelpReason, "pflag: help requested"};
    return errors::badRequest("unknown flag: --" + std::string(name));
  }
  if (pair) return setFlag(*flag, pair->second);
  if (!flag->noOptDefault_.empty()) return setFlag(*flag, flag->noOptDefault_);
  if (rest.empty()) return errors::badRequest("flag needs an argument: --" + std::string(name));
  const std::string& value = rest.front();
  rest = rest.subspan(1);
  return setFlag(*flag, value);
}

// "-abc": letters without a value, up to one that takes the rest or the next argument.
Status FlagSet::Impl::parseShort(std::string_view arg, std::span<const std::string>& rest) {
  for (std::string_view letters = arg.substr(1); !letters.empty();) {
    char c = letters[0];
    Flag* flag = findShorthand(c);
    std::string where = std::string("'") + c + "' in -" + std::string(letters);
    if (!flag) {
      if (c == 'h') return {400, kHelpReason, "pflag: help requested"};
      return errors::badRequest("unknown shorthand flag: " + where);
    }
    std::string_view value;
    std::string_view after = letters.substr(1);
    letters = {};
    if (after.size() > 1 && after[0] == '=') {
      value = after.substr(1);
    } else if (!flag->noOptDefault_.empty()) {
      value = flag->noOptDefault_;
      letters = after;
    } else if (!after.empty()) {
      value = after;
    } else if (!rest.empty()) {
      value = rest.front();
      rest = rest.subspan(1);
    } else {
      return errors::badRequest("flag needs an argument: " + where);
    }
    if (!flag->shorthandDeprecated_.empty()) {
      print(std::string("Flag shorthand -") + c + " has been deprecated, " + flag->shorthandDeprecated_);
    }
    KM_TRY(setFlag(*flag, value));
  }
  return {};
}

Status FlagSet::parse(std::span<const std::string> rest) {
  Impl& m = *impl_;
  m.args.clear();
  m.dash = -1;
  auto takeAll = [&] { m.args.insert(m.args.end(), rest.begin(), rest.end()); };
  while (!rest.empty()) {
    const std::string& arg = rest.front();
    rest = rest.subspan(1);
    if (arg.size() < 2 || arg[0] != '-') {
      m.args.push_back(arg);
      if (m.interspersed) continue;
      takeAll();
      break;
    }
    if (arg == "--") {
      m.dash = static_cast<int>(m.args.size());
      takeAll();
      break;
    }
    KM_TRY(arg[1] == '-' ? m.parseLong(arg, rest) : m.parseShort(arg, rest));
  }
  return {};
}

Status FlagSet::set(std::string_view name, std::string_view value) {
  Flag* flag = impl_->find(name);
  if (!flag) return errors::badRequest("no such flag -" + std::string(name));
  return impl_->setFlag(*flag, value);
}

const Flag* FlagSet::lookup(std::string_view name) const {
  return impl_->find(name);
}
bool FlagSet::changed(std::string_view name) const {
  const Flag* flag = impl_->find(name);
  return flag && flag->changed_;
}
const std::vector<std::string>& FlagSet::args() const {
  return impl_->args;
}
int FlagSet::argsLengthAtDash() const {
  return impl_->dash;
}
void FlagSet::setInterspersed(bool on) {
  impl_->interspersed = on;
}
void FlagSet::setSorted(bool on) {
  impl_->sorted = on;
}
void FlagSet::setOutput(std::function<void(std::string_view)> out) {
  impl_->output = std::move(out);
}
const std::string& FlagSet::name() const {
  return impl_->name;
}
bool FlagSet::hasFlags() const {
  return !impl_->flags.empty();
}

bool FlagSet::hasVisibleFlags() const {
  return std::any_of(impl_->flags.begin(), impl_->flags.end(), [](const auto& f) { return !f->hidden_; });
}

void FlagSet::setNormalize(Normalize normalize) {
  impl_->normalize = std::move(normalize);
  impl_->byName.clear();
  for (const auto& flag : impl_->flags) {
    flag->name_ = impl_->normalized(flag->name_);
    if (!impl_->byName.emplace(flag->name_, flag.get()).second) {
      KM_LOG(FATAL, "{} flag redefined: {}", impl_->name, flag->name_);
    }
  }
}

void FlagSet::visitAll(const std::function<void(const Flag&)>& f) const {
  if (impl_->sorted) {
    for (const auto& [name, flag] : impl_->byName) f(*flag);
  } else {
    for (const auto& flag : impl_->flags) f(*flag);
  }
}

bool FlagSet::isHelp(const Status& status) {
  return status.is(kHelpReason);
}

std::string wordSepNormalize(std::string_view name) {
  return replaceAll(name, "_", "-");
}

std::string warnWordSepNormalize(std::string_view name) {
  if (!contains(name, "_")) return std::string(name);
  std::string fixed = wordSepNormalize(name);
  static std::mutex mutex;
  static auto* warned = new std::set<std::string, std::less<>>;
  std::lock_guard lock(mutex);
  if (warned->emplace(name).second) {
    KM_LOG(WARNING, "using an underscore in a flag name is not supported. {} has been converted to {}.", name,
           fixed);
  }
  return fixed;
}

}  // namespace km
