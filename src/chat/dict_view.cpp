#include "chat/dict_view.h"

#include "chat/operations.h"

namespace chorus::jinja {
namespace {

class DictIterator : public Opaque {
 public:
  explicit DictIterator(DictView& view) : view_(&view) {}
  std::string type_name() const override { return view_.opaque().type_name() + "_iterator"; }
  bool iterable() const override { return true; }
  Value next() override {
    const auto& view = static_cast<DictView&>(view_.opaque());
    return at_ < size_t(view.length()) ? view.at(at_++) : Value();
  }

 private:
  Value view_;
  size_t at_ = 0;
};

}  // namespace

std::string DictView::type_name() const {
  return part_ == Part::keys ? "dict_keys" : part_ == Part::values ? "dict_values" : "dict_items";
}

Value DictView::at(size_t i) const {
  const auto& [key, value] = dict_.dict().items()[i];
  return part_ == Part::keys ? key : part_ == Part::values ? value : make_tuple({key, value});
}

std::string DictView::repr() const {
  std::string out = type_name() + "([";
  for (size_t i = 0; i < size_t(length()); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, at(i));
  }
  return out + "])";
}

Value DictView::iterate() {
  return Value(new DictIterator(*this));
}

}  // namespace chorus::jinja
