// Command-line flags with pflag's rules and wordings: --name=value, --name value, -n value, -nvalue, -abc, a
// bool without value, `--` ends the flags. A FlagSet belongs to one thread; bound variables must outlive it.
//
//   FlagSet flags("kube-proxy");
//   flags.add(&options.port, "port", "The `port` to serve on").shorthand('p');
//   KM_TRY(flags.parse(args));
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace km {

// What a flag sets. `set` may be called several times, in the order of the command line.
class FlagValue {
 public:
  virtual ~FlagValue() = default;
  virtual Status set(std::string_view text) = 0;  // the message alone; the FlagSet adds the flag's name
  virtual std::string str() const = 0;   // the current value; at definition it is the default shown by usage
  virtual std::string type() const = 0;  // "string", "int", "stringSlice"...: the usage's word
  virtual bool isZero(std::string_view def) const;  // whether usage leaves out "(default ...)"
};

class Flag {
 public:
  // Settings of a definition, chainable.
  Flag& shorthand(char letter);
  Flag& deprecated(std::string message);  // still works, hidden, "Flag --x has been deprecated, message"
  Flag& shorthandDeprecated(std::string message);
  Flag& hidden();                         // works, not in usage
  Flag& noOptDefault(std::string value);  // what --name without a value means
  Flag& defaultText(std::string text);    // what usage shows as the default

  const std::string& name() const { return name_; }
  const std::string& usage() const { return usage_; }
  const std::string& defaultValue() const { return default_; }
  const std::string& deprecatedMessage() const { return deprecated_; }
  const std::string& noOptDefaultValue() const { return noOptDefault_; }
  // 0 if there is none or it is deprecated.
  char shorthandLetter() const { return shorthandDeprecated_.empty() ? shorthand_ : 0; }
  bool defaultIsZero() const { return value_->isZero(default_); }
  bool changed() const { return changed_; }  // set by the command line or by FlagSet::set
  bool isHidden() const { return hidden_; }
  std::string value() const { return value_->str(); }
  std::string type() const { return value_->type(); }

 private:
  friend class FlagSet;
  std::string name_, usage_, default_, deprecated_, shorthandDeprecated_, noOptDefault_;
  std::unique_ptr<FlagValue> value_;
  char shorthand_ = 0;
  bool changed_ = false, hidden_ = false;
};

class FlagSet {
 public:
  using Normalize = std::function<std::string(std::string_view name)>;

  explicit FlagSet(std::string name = "");
  ~FlagSet();
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  // Defines a flag bound to *target, whose present value is the default. The usage may name the value in
  // backquotes. Defining a name twice is a bug of the program and ends it.
  Flag& add(bool* target, std::string_view name, std::string_view usage);
  Flag& add(int32_t* target, std::string_view name, std::string_view usage);  // type "int32"
  Flag& addInt(int* target, std::string_view name,
               std::string_view usage);  // type "int"
  Flag& add(int64_t* target, std::string_view name, std::string_view usage);
  Flag& add(uint32_t* target, std::string_view name, std::string_view usage);
  Flag& add(double* target, std::string_view name, std::string_view usage);  // "float"
  Flag& add(float* target, std::string_view name, std::string_view usage);   // "float32"
  Flag& add(std::string* target, std::string_view name, std::string_view usage);
  Flag& addIp(std::string* target, std::string_view name, std::string_view usage);  // "ip"; "" shows as <nil>
  Flag& add(std::vector<int32_t>* target, std::string_view name, std::string_view usage);  // "int32Slice"
  Flag& add(Duration* target, std::string_view name, std::string_view usage);
  // stringSlice: comma-separated (CSV quoting), repeated flags append; the first use replaces the default.
  Flag& add(std::vector<std::string>* target, std::string_view name, std::string_view usage);
  // stringArray: every use appends its value whole.
  Flag& addArray(std::vector<std::string>* target, std::string_view name, std::string_view usage);
  Flag& add(std::map<std::string, std::string>* target, std::string_view name, std::string_view usage);
  // --name=a=true,b=false as --feature-gates; type "mapStringBool".
  Flag& add(std::map<std::string, bool>* target, std::string_view name, std::string_view usage);
  // Anything else.
  Flag& addValue(std::unique_ptr<FlagValue> value, std::string_view name, std::string_view usage);
  // Calls `set` with each text; usage shows `type`.
  Flag& addFunc(std::function<Status(std::string_view)> set, std::string_view type, std::string_view name,
                std::string_view usage);
  // Takes over (shares) the flags of `other` whose names are not defined here.
  void addFlagSet(const FlagSet& other);

  // Parses; what remains is args(). With neither --help nor -h defined they give a Status that isHelp().
  Status parse(std::span<const std::string> args);
  Status set(std::string_view name, std::string_view value);
  const Flag* lookup(std::string_view name) const;
  bool changed(std::string_view name) const;
  const std::vector<std::string>& args() const;
  int argsLengthAtDash() const;  // how many args() stood before `--`; -1 without `--`

  void setInterspersed(bool on);  // on (the default): flags may follow arguments
  void setSorted(bool on);  // on (the default): usage and visit in the order of names, else of definition
  void setNormalize(Normalize normalize);  // applied to every name, defined or given
  void setOutput(
      std::function<void(std::string_view line)> out);  // for "has been deprecated" lines; default stderr
  const std::string& name() const;

  void visitAll(const std::function<void(const Flag&)>& f) const;
  bool hasFlags() const;
  bool hasVisibleFlags() const;
  // Usage as pflag prints it; `columns` > 0 wraps.
  std::string usages(int columns = 0) const;

  static bool isHelp(const Status& status);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads `_` in flag names as `-`: silently, or with a warning once a name.
std::string wordSepNormalize(std::string_view name);
std::string warnWordSepNormalize(std::string_view name);

}  // namespace km
