package config

import (
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// flagLayer reads the flags that were given and that FlagKeys, or their own name, turns into a setting.
func (l *loader) flagLayer() koanf.Provider {
	if l.Flags == nil {
		return nil
	}
	return posflag.ProviderWithFlag(l.Flags, ".", nil, func(flag *pflag.Flag) (string, any) {
		key, mapped := l.FlagKeys[flag.Name]
		if !mapped {
			key = flag.Name
		}
		if !flag.Changed || (!mapped && !l.leaves[key]) {
			return "", nil
		}
		source := Source{Flag: flag.Name}
		if !l.leaves[key] {
			l.report(Problem{Key: key, Source: source, Found: "an unknown key", Allowed: l.unknown(key)})
			return "", nil
		}
		l.cfg.origin[key] = source
		return key, flagValue(flag)
	})
}

// flagValue gives lists as lists and all else as text, which every setting can be decoded from.
func flagValue(flag *pflag.Flag) any {
	slice, ok := flag.Value.(pflag.SliceValue)
	if !ok {
		return flag.Value.String()
	}
	var list []any
	for _, element := range slice.GetSlice() {
		list = append(list, element)
	}
	return list
}
